"""`network_security_analysis.png`: who attacks what, how far attacks went, and which ports were scanned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.tables import Tables
from detector.backfill.atomic import replaced
from detector.reports.charts import label

KILL_CHAIN = (
    "reconnaissance",
    "resource-development",
    "initial-access",
    "execution",
    "persistence",
    "privilege-escalation",
    "defense-evasion",
    "credential-access",
    "discovery",
    "lateral-movement",
    "collection",
    "command-and-control",
    "exfiltration",
)
"""ATT&CK's tactics in the order in which an attack goes on; https://attack.mitre.org/tactics/enterprise/"""
SUSPECT = 50
"""A reputation below it is suspect."""
LABELLED_ATTEMPTS = 100
"""Port scans with more attempts have their number beside the bar."""
_SOURCES, _TARGETS, _PORTS = 12, 8, 15
_TEXT, _MUTED, _BLUE, _RED, _ORANGE, _GREEN = "#182230", "#566375", "#2f6bd8", "#c42b3a", "#d9772b", "#177245"


def draw(tables: Tables, path: Path) -> None:
    """Draw the picture, 1800 by 1300 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(18, 13), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle("Network security analysis", fontsize=20, fontweight="bold", color=_TEXT)
    (topology, chain), (reputation, ports) = figure.subplots(2, 2)
    _topology(topology, tables)
    _chain(chain, tables)
    _reputation(reputation, tables)
    _ports(ports, tables)
    with replaced(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})


def edges(tables: Tables) -> list[dict[str, Any]]:
    """What the topology shows: the sources with the highest threat score, else most errors, and what they reached."""
    scores = dict(
        zip(*(tables["threat_sources"][name].to_pylist() for name in ("source", "threat_score")), strict=True)
    )
    rows = [row | {"score": scores.get(row["source_ip"], 0)} for row in tables["network_links"].to_pylist()]
    rows.sort(key=lambda row: (-row["score"], -row["errors"], -row["events"], row["source_ip"], row["target"]))
    sources = list(dict.fromkeys(row["source_ip"] for row in rows))[:_SOURCES]
    rows = [row for row in rows if row["source_ip"] in sources]
    targets = list(dict.fromkeys(row["target"] for row in sorted(rows, key=lambda row: -row["events"])))[:_TARGETS]
    return [row for row in rows if row["target"] in targets]


def chain(tables: Tables) -> dict[str, int]:
    """Alerts by tactic, in the order of the kill chain."""
    known = tables["threats_by_tactic"]
    counts: dict[str, int] = dict.fromkeys(KILL_CHAIN, 0)
    for tactic, alerts in zip(known["tactic"].to_pylist(), known["alerts"].to_pylist(), strict=True):
        name = str(tactic).lower().replace(" ", "-").replace("_", "-")
        if name in counts:
            counts[name] += alerts
    return counts


def _topology(axes: Any, tables: Tables) -> None:
    _title(axes, "Topology: threat sources and what they reached")
    axes.axis("off")
    found = edges(tables)
    if not found:
        _nothing(axes, "No event has both an address and a host.")
        return
    sources = list(dict.fromkeys(row["source_ip"] for row in found))
    targets = list(dict.fromkeys(row["target"] for row in found))
    place = {("source", name): (0.0, _spread(at, len(sources))) for at, name in enumerate(sources)}
    place |= {("target", name): (1.0, _spread(at, len(targets))) for at, name in enumerate(targets)}
    most = max(row["events"] for row in found)
    for row in found:
        (x0, y0), (x1, y1) = place["source", row["source_ip"]], place["target", row["target"]]
        width = 0.8 + 5 * (row["events"] / most) ** 0.5
        axes.plot([x0, x1], [y0, y1], color=_threat_colour(row["score"]), linewidth=width, alpha=0.35, zorder=1)
    scores = {row["source_ip"]: row["score"] for row in found}
    for (kind, name), (x, y) in place.items():
        colour = _threat_colour(scores[name]) if kind == "source" else _GREEN
        axes.scatter([x], [y], s=260, color=colour, edgecolors="white", linewidths=2, zorder=2)
        text = f"{_plain(name)} ({scores[name]})" if kind == "source" and scores[name] else _plain(name)
        axes.annotate(
            text,
            (x, y),
            xytext=(-14 if kind == "source" else 14, 0),
            textcoords="offset points",
            ha="right" if kind == "source" else "left",
            va="center",
            fontsize=11,
            color=_TEXT,
            parse_math=False,
        )
    axes.set_xlim(-0.75, 1.75)
    axes.set_ylim(-0.12, 1.08)
    axes.text(0, -0.1, "sources (threat score)", ha="center", color=_MUTED, fontsize=11)
    axes.text(1, -0.1, "hosts and services", ha="center", color=_MUTED, fontsize=11)


def _chain(axes: Any, tables: Tables) -> None:
    _title(axes, "Kill chain: alerts by tactic")
    counts = chain(tables)
    if not any(counts.values()):
        _nothing(axes, "No alert names a tactic.")
        return
    names = [name.replace("-", " ") for name in counts]
    values = list(counts.values())
    colours = [_RED if value == max(values) else _ORANGE for value in values]
    drawn = axes.barh(names, values, color=colours)
    axes.bar_label(drawn, [f"{value:,}" if value else "" for value in values], padding=4, color=_TEXT)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    _frame(axes, "alerts")


def _reputation(axes: Any, tables: Tables) -> None:
    _title(axes, "Reputation of sources (0 is worst)")
    values = tables["source_reputation"]["reputation"].to_pylist()
    if not values:
        _nothing(axes, "No event has an address.")
        return
    _, edges_, patches = axes.hist(values, bins=20, range=(0, 100), edgecolor="white")
    for edge, patch in zip(edges_, patches, strict=False):
        patch.set_facecolor(_RED if edge < SUSPECT else _BLUE)
    axes.axvline(SUSPECT, color=_TEXT, linestyle="--", linewidth=2)
    low = sum(value < SUSPECT for value in values)
    axes.text(SUSPECT - 1.5, 0.95, f"{low:,} suspect", transform=axes.get_xaxis_transform(), ha="right", color=_RED)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylabel("addresses", color=_MUTED)
    _frame(axes, "reputation")


def _ports(axes: Any, tables: Tables) -> None:
    _title(axes, "Port scans by port")
    known: pa.Table = tables["port_scans"].slice(0, _PORTS).sort_by("destination_port")
    if not known.num_rows:
        _nothing(axes, "No address tried ten ports or more.")
        return
    names = pc.cast(known["destination_port"], pa.string()).to_pylist()
    values = known["attempts"].to_pylist()
    drawn = axes.bar(names, values, color=[_RED if value > LABELLED_ATTEMPTS else _BLUE for value in values])
    axes.bar_label(
        drawn, [f"{value:,}" if value > LABELLED_ATTEMPTS else "" for value in values], padding=3, color=_TEXT
    )
    axes.set_ylabel("attempts", color=_MUTED)
    axes.margins(y=0.12)
    _frame(axes, "port")


def _plain(name: object) -> str:
    """Characters that the picture's font lacks would warn: as escapes, they are readable."""
    return label(name).encode("ascii", "backslashreplace").decode()


def _spread(at: int, count: int) -> float:
    return 0.5 if count == 1 else 1 - at / (count - 1)


def _threat_colour(score: int) -> str:
    return _RED if score >= 80 else _ORANGE if score >= 60 else _BLUE


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, fontsize=15, fontweight="bold", color=_TEXT, loc="left", pad=12)


def _nothing(axes: Any, why: str) -> None:
    axes.axis("off")
    axes.text(
        0.5, 0.5, f"No data.\n{why}", ha="center", va="center", fontsize=14, color=_MUTED, transform=axes.transAxes
    )


def _frame(axes: Any, x: str) -> None:
    axes.set_xlabel(x, color=_MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_MUTED, labelsize=11)
