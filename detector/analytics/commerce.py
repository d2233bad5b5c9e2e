"""Questions about visitors: what they look at, search, put into the cart and buy.

A step is named by the event's action, or by its path where it is a request. A session is a `session.id`; without one,
the events of a user or an address on one day (UTC).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import TIME, Area, Question, distinct, only, truth, within

STEPS = ("view", "search", "add_to_cart", "checkout", "purchase")
"""The steps that sessions and funnels count, in their order."""
_ACTIONS = {
    "view": r"(?i)^(?:(?:page|product|item)?[_ -]?view(?:ed|_item)?)$",
    "search": r"(?i)^(?:search(?:ed)?|view_search_results)$",
    "add_to_cart": r"(?i)^(?:add[_ -]?to[_ -]?(?:cart|basket|bag)|cart[_ -]?add)$",
    "checkout": r"(?i)^(?:begin[_ -]?|start[_ -]?)?checkout(?:[_ -]?start(?:ed)?)?$",
    "purchase": r"(?i)^(?:purchase[d]?|order(?:[_ -]?(?:placed|completed))?|buy|bought|transaction)$",
}
_PATHS = {
    "view": r"(?i)/(?:products?|catalog(?:ue)?|category|categories|shop)(?:/|$)",
    "search": r"(?i)/search(?:/|$)",
    "add_to_cart": r"(?i)/(?:cart|basket)(?:/|$)",
    "checkout": r"(?i)/checkout(?:/|$)",
    "purchase": r"(?i)/(?:purchase|order[-/](?:confirm(?:ed|ation)?|complete[d]?|success)|thank[-_]?you)(?:/|$)",
}
_ANY_PATH = "|".join(f"(?:{expression})" for expression in _PATHS.values())
_TEXTS = (
    "customer.segment",
    "event.action",
    "event.outcome",
    "log.level",
    "order.id",
    "search.query",
    "session.id",
    "source.ip",
    "url.path",
    "user.id",
    "user.name",
)
_LEVELS = pa.array(("error", "critical", "fatal", "alert", "emergency", "panic"))


def _step(expressions: Mapping[str, str]) -> Callable[[pa.Array], pa.Array]:
    def make(texts: pa.Array) -> pa.Array:
        found = pa.nulls(len(texts), pa.string())
        for name in STEPS:
            truths = pc.fill_null(pc.match_substring_regex(texts, expressions[name]), fill_value=False)
            found = pc.if_else(truths, pa.scalar(name), found)
        return found

    return make


def _derive(columns: pa.Table) -> pa.Table:
    by_action = distinct(columns["event.action"], _step(_ACTIONS))
    any_step = pc.match_substring_regex(columns["url.path"], _ANY_PATH)
    by_path = distinct(only(columns["url.path"], truth(any_step)), _step(_PATHS))
    step = pc.coalesce(by_action, by_path)
    shop = pc.or_(pc.is_valid(step), pc.or_(pc.is_valid(columns["customer.segment"]), pc.is_valid(columns["order.id"])))
    shop = pc.or_(shop, pc.is_valid(columns["search.query"]))
    columns, step = columns.append_column("step", step).filter(shop), step.filter(shop)
    day = pc.strftime(columns["@timestamp"], format="%Y-%m-%d")
    visitor = pc.coalesce(columns["user.id"], columns["user.name"], columns["source.ip"])
    session = pc.coalesce(columns["session.id"], pc.binary_join_element_wise(visitor, day, "@"))
    status = columns["http.response.status_code"]
    failed = pc.or_(
        pc.or_(within(status, 400, 600), truth(pc.equal(columns["event.outcome"], "failure"))),
        truth(pc.is_in(columns["log.level"], value_set=_LEVELS)),
    )
    fine = pc.invert(failed)
    steps = {name: pc.and_(truth(pc.equal(step, name)), fine) for name in STEPS}
    bought = steps["purchase"]
    nothing = pa.scalar(None, TIME)
    value = pc.fill_null(columns["order.value"], 0.0)
    paying = pc.or_(truth(pc.equal(step, "purchase")), truth(pc.equal(step, "checkout")))
    none = pc.equal(columns["search.results"], 0)
    return pa.table(
        {
            "@timestamp": columns["@timestamp"],
            "session": session,
            "segment": columns["customer.segment"],
            "hour": pc.floor_temporal(columns["@timestamp"], unit="hour"),
            "feature": pc.coalesce(columns["event.action"], step),
            "query": distinct(columns["search.query"], lambda texts: pc.utf8_lower(pc.utf8_trim_whitespace(texts))),
            "in_session": pc.is_valid(session),
            "searched": pc.is_valid(columns["search.query"]),
            "no_result": truth(none),
            "failed": failed,
            "broken_sale": pc.and_(failed, paying),
            "lost": pc.if_else(failed, value, 0.0),
            "revenue": pc.if_else(bought, value, 0.0),
            **steps,
            **{f"{name}_at": pc.if_else(truths, columns["@timestamp"], nothing) for name, truths in steps.items()},
        }
    )


AREA = Area(
    {
        "@timestamp": TIME,
        "http.response.status_code": pa.int64(),
        "order.value": pa.float64(),
        "search.results": pa.int64(),
    }
    | dict.fromkeys(_TEXTS, pa.string()),
    {
        "sessions": Question(
            ("session",),
            where="in_session",
            sums=("revenue", "failed", "lost", "broken_sale", *STEPS),
            mins=tuple(f"{name}_at" for name in STEPS),
            maxs=("segment", "purchase_at"),
        ),
        "features": Question(("feature", "session"), where="in_session"),
        "searches": Question(("query", "session"), where="searched", sums=("no_result",)),
        "sales_hours": Question(("hour",), sums=("purchase", "revenue", "broken_sale", "lost")),
    },
    _derive,
)
