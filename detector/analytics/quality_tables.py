"""Tables about the logs themselves: what was parsed, how late it came, where it is silent, which clocks are wrong."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import pyarrow as pa

from detector.analytics.questions import TIME, sums, table_of
from detector.analytics.totals import Totals

GAP = timedelta(minutes=5)
"""The least silence that counts as a gap ..."""
GAP_FACTOR = 10
"""... if it is also so many times as long as the source's usual silence between two minutes with events."""


def quality(totals: Totals) -> dict[str, pa.Table]:
    """All tables of this module, by name."""
    gaps = _gaps(totals.of("minutes"))
    return {"log_quality": _sources(totals, gaps), "log_gaps": gaps}


def _sources(totals: Totals, gaps: pa.Table) -> pa.Table:
    order = {row["source"]: row for row in totals.of("order").to_pylist()}
    silent: dict[str, list[float]] = {}
    for row in gaps.to_pylist():
        silent.setdefault(row["source"], []).append(row["seconds"])
    rows = []
    for row in sums(totals.of("sources"), ["log.file.path"], ["count", "unparsed"]).to_pylist():
        source = row["log.file.path"]
        own: dict[str, Any] = order.get(source, {})
        rows.append(
            {
                "source": source,
                "events": row["count"],
                "unparsed": row["unparsed"],
                "first_seen": row["first"],
                "last_seen": row["last"],
                "parse_rate": 1 - row["unparsed"] / row["count"],
                "late_events": own.get("late", 0),
                "max_delay_seconds": own.get("max_late_us", 0) / 1e6,
                "clock_steps_back": own.get("back", 0),
                "max_clock_skew_seconds": own.get("max_back_us", 0) / 1e6,
                "implausible_times": own.get("implausible", 0),
                "gaps": len(silent.get(source, ())),
                "longest_gap_seconds": max(silent.get(source, ()), default=0.0),
            }
        )
    return table_of(
        rows,
        source=pa.string(),
        events=pa.int64(),
        unparsed=pa.int64(),
        first_seen=TIME,
        last_seen=TIME,
        parse_rate=pa.float64(),
        late_events=pa.int64(),
        max_delay_seconds=pa.float64(),
        clock_steps_back=pa.int64(),
        max_clock_skew_seconds=pa.float64(),
        implausible_times=pa.int64(),
        gaps=pa.int64(),
        longest_gap_seconds=pa.float64(),
    )


def _gaps(minutes: pa.Table) -> pa.Table:
    rows = []
    ordered = minutes.sort_by([("source", "ascending"), ("minute", "ascending")])
    pairs = zip(ordered["source"].to_pylist(), ordered["minute"].to_pylist(), strict=True)
    for source, group in groupby(pairs, itemgetter(0)):
        seen = [minute for _, minute in group]
        steps = sorted(after - before for before, after in pairwise(seen))
        usual = steps[len(steps) // 2] if steps else timedelta()
        for before, after in pairwise(seen):
            silence = after - before - timedelta(minutes=1)
            if silence >= GAP and after - before >= GAP_FACTOR * usual:
                rows.append(
                    {
                        "source": source,
                        "gap_start": before + timedelta(minutes=1),
                        "gap_end": after,
                        "seconds": silence.total_seconds(),
                    }
                )
    return table_of(rows, source=pa.string(), gap_start=TIME, gap_end=TIME, seconds=pa.float64())
