"""`security_analysis.html`: what the rules found."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.reports.charts import LEVELS, Chart, Column, Grid, bars, coarser, label, times
from detector.reports.layout import Card, Page, Section
from detector.reports.markup import Html, tag
from detector.reports.pages.common import ALERTS, SEVERITIES, compact, count, grid, total

PICTURE = "network_security_analysis.png"


def page(tables: Tables) -> Page:
    """The page, from `threats_*`, `threat_sources`, `brute_force`, `login_attempts` and `anomalies`."""
    levels = {row["threat_level"]: row["alerts"] for row in tables["threats_by_level"].to_pylist()}
    cards = [
        Card("Alerts", compact(sum(levels.values()))),
        Card("Critical and high", compact(levels.get("critical", 0) + levels.get("high", 0)), "bad"),
        Card("Rules that fired", f"{len(set(tables['threats_by_rule']['rule'].to_pylist())):,}"),
        Card("Threat sources", f"{count(tables, 'threat_sources'):,}"),
        Card(
            "Brute-force sources",
            f"{count(tables, 'brute_force'):,}",
            "bad" if count(tables, "brute_force") else "good",
        ),
        Card("Anomalies", f"{total(tables, 'anomalies', 'count') and count(tables, 'anomalies'):,}"),
    ]
    return Page(
        "security_analysis.html",
        "Security analysis",
        "What the rules found, how grave it is, how attackers went on, and where they came from.",
        cards,
        [
            Section("Threats", [_hourly(tables), _rules(tables), _levels(tables)]),
            Section("Tactics and techniques", [_tactics(tables), _techniques(tables)]),
            Section("Sources", [_sources(tables), _brute(tables), _reputation(tables), _ports(tables)]),
            Section("The network", [_picture()]),
            Section("Anomalies", [("Anomalies", _anomalies(tables))]),
        ],
        short="Security",
    )


def _picture() -> Html:
    alt = "Network security analysis: topology with threat sources, kill chain, reputation of sources, scanned ports."
    picture = tag("img", src=PICTURE, alt=alt, class_="picture")
    return tag("div", tag("p", tag("a", "Open the picture", href=PICTURE)), picture, class_="panel wide")


def _hourly(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threats_hourly",
        Column("hour", "Hour", "time"),
        Column("threat_level", "Level"),
        Column("alerts", "Alerts", "number"),
        tones=SEVERITIES,
    )
    traces = []
    for level, colour in LEVELS.items():
        of_level = rows.table.filter(pc.equal(rows.table["threat_level"], level))
        drawn = coarser(of_level.select(["hour", "alerts"]), "hour", ["alerts"])
        if drawn.num_rows:
            traces.append(
                {
                    "type": "bar",
                    "name": level,
                    "x": times(drawn["hour"]),
                    "y": drawn["alerts"].to_pylist(),
                    "marker": {"color": colour},
                    "hovertemplate": "%{y:,}",
                }
            )
    layout = {"xaxis": {"type": "date"}, "barmode": "stack", "showlegend": True}
    about = "Alerts by hour of the event, by level."
    return Chart("threats", "Threats over time", about, traces, rows, layout, wide=True, missing=ALERTS)


def _rules(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threats_by_rule",
        Column("rule", "Rule", drill="rule"),
        Column("threat_level", "Level"),
        Column("alerts", "Alerts", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
        tones=SEVERITIES,
    )
    colours = {row["rule"]: LEVELS.get(row["threat_level"], "$c1") for row in rows.table.to_pylist()}
    about = "Alerts by rule, coloured by level."
    return bars("rules", "By rule", about, rows, ("rule", "alerts"), colours=colours, drill="rule", missing=ALERTS)


def _levels(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threats_by_level",
        Column("threat_level", "Level"),
        Column("alerts", "Alerts", "number"),
        tones=SEVERITIES,
    )
    about = "Alerts by threat level."
    return bars("levels", "By level", about, rows, ("threat_level", "alerts"), colours=LEVELS, missing=ALERTS)


def _tactics(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threats_by_tactic",
        Column("tactic", "Tactic"),
        Column("alerts", "Alerts", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
    about = "Alerts by ATT&CK tactic: what the attackers were up to."
    return bars("tactics", "By tactic", about, rows, ("tactic", "alerts"), colour="$c4", missing=ALERTS)


def _techniques(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threats_by_technique",
        Column("technique", "Technique"),
        Column("alerts", "Alerts", "number"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
    about = "Alerts by ATT&CK technique."
    return bars("techniques", "By technique", about, rows, ("technique", "alerts"), colour="$c5", missing=ALERTS)


def _sources(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "threat_sources",
        Column("source", "Source"),
        Column("threat_score", "Threat score", "number"),
        Column("event_count", "Alerts", "number"),
    )
    about = "What caused alerts, by the highest threat score (0 to 100)."
    colours = {
        str(row["source"]): "$bad" if row["threat_score"] >= 80 else "$warn" if row["threat_score"] >= 60 else "$c1"
        for row in rows.table.slice(0, 50).to_pylist()
    }
    return bars("sources", "Threat sources", about, rows, ("source", "threat_score"), colours=colours, missing=ALERTS)


def _brute(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "login_attempts",
        Column("ip_address", "Address"),
        Column("attempts", "Attempts", "number"),
        Column("failed_attempts", "Failed", "number"),
        Column("is_internal", "Internal"),
        Column("first_seen", "First seen", "time"),
        Column("last_seen", "Last seen", "time"),
    )
    colours = {
        str(row["ip_address"]): "$bad" if row["failed_attempts"] > 5 else "$c1"
        for row in rows.table.slice(0, 50).to_pylist()
    }
    about = "Log-ins by address; red: more than five failed, which is brute force."
    missing = "There are no log-ins in the lake."
    return bars("logins", "Log-in attempts", about, rows, ("ip_address", "attempts"), colours=colours, missing=missing)


def _reputation(tables: Tables) -> Chart:
    """A histogram with steps of five, and a line at 50."""
    known = tables["source_reputation"]
    binned = pc.multiply(pc.floor(pc.divide(pc.min_element_wise(known["reputation"], 99.9), 5.0)), 5.0)
    found = pa.table({"reputation": binned.cast(pa.int64())}).group_by("reputation", use_threads=False)
    counts = found.aggregate([([], "count_all")]).rename_columns(["reputation", "addresses"]).sort_by("reputation")
    columns = (
        Column("reputation", "Reputation from", "number"),
        Column("addresses", "Addresses", "number"),
    )
    given = counts["reputation"].to_pylist()
    trace = {
        "type": "bar",
        "x": [each + 2.5 for each in given],
        "y": counts["addresses"].to_pylist(),
        "width": 4.6,
        "marker": {"color": ["$bad" if each < 50 else "$good" for each in given]},
        "hovertemplate": "%{y:,} addresses<extra></extra>",
    }
    line = {
        "type": "line",
        "x0": 50,
        "x1": 50,
        "y0": 0,
        "y1": 1,
        "yref": "paper",
        "line": {"color": "$text", "dash": "dash"},
    }
    layout = {
        "xaxis": {"range": [0, 100], "title": {"text": "reputation (0 is worst)"}},
        "yaxis": {"title": {"text": "addresses"}, "type": "log", "dtick": 1},
        "shapes": [line],
        "hovermode": "closest",
    }
    about = (
        "Addresses by reputation: 100 less the threat score of their alerts and a part for errors; suspect below 50."
    )
    missing = "No event has an address."
    grid_ = Grid("source_reputation", columns, counts)
    return Chart("reputation", "Reputation of sources", about, [trace], grid_, layout, missing=missing)


def _ports(tables: Tables) -> Chart:
    rows = grid(
        tables,
        "port_scans",
        Column("destination_port", "Port"),
        Column("attempts", "Attempts", "number"),
        Column("scanners", "Scanners", "number"),
    )
    about = "Ports that were tried by addresses which tried ten ports or more."
    missing = "No address tried ten ports; this needs firewall or flow logs."
    return bars("ports", "Port scans", about, rows, ("destination_port", "attempts"), colour="$c2", missing=missing)


def _anomalies(tables: Tables) -> Grid:
    known = tables["anomalies"]
    subjects = [None if each is None else label(each) for each in known["subject"].to_pylist()]
    shown = known.set_column(known.column_names.index("subject"), "subject", pa.array(subjects, pa.string()))
    return Grid(
        "anomalies",
        (
            Column("type", "Type"),
            Column("severity", "Severity"),
            Column("subject", "Subject"),
            Column("value", "Value", "number"),
            Column("count", "Count", "number"),
        ),
        shown,
        SEVERITIES,
    )
