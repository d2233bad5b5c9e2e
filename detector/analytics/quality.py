"""Questions about the logs themselves: order, delay, silence, clocks."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import TIME, Area, Question, truth

STEP_BACK_US = 60_000_000
"""A time that is so much earlier than that of the event before it in its file counts as a step back of a clock."""


def _derive(columns: pa.Table) -> pa.Table:
    late, back = _order(columns)
    flags = pc.binary_join(columns["event.flags"], ",")
    return pa.table(
        {
            "@timestamp": columns["@timestamp"],
            "source": columns["log.file.path"],
            "minute": pc.floor_temporal(columns["@timestamp"], unit="minute"),
            "implausible": truth(pc.match_substring(flags, "implausible_time")),
            "late": pa.array(late > 0),
            "late_us": pa.array(late),
            "back": pa.array(back >= STEP_BACK_US),
            "back_us": pa.array(back),
        }
    )


def _order(columns: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """How much earlier each event is than the latest before it in its file, and than the one before it, microseconds.

    As far as they are in the same block.
    """
    times = columns["@timestamp"].cast(pa.int64()).to_numpy()
    late, back = np.zeros(len(times), np.int64), np.zeros(len(times), np.int64)
    if not len(times):
        return late, back
    path = columns["log.file.path"].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    order = np.lexsort((columns["log.offset"].to_numpy(), path))
    times, path = times[order], path[order]
    starts = np.flatnonzero(np.diff(path, prepend=path[0] - 1))
    for start, end in zip(starts, [*starts[1:], len(times)], strict=True):
        part = times[start:end]
        late[order[start:end]] = np.maximum.accumulate(part) - part
        back[order[start + 1 : end]] = np.maximum(part[:-1] - part[1:], 0)
    return late, back


AREA = Area(
    {"@timestamp": TIME, "event.flags": pa.list_(pa.string()), "log.file.path": pa.string(), "log.offset": pa.int64()},
    {
        "order": Question(("source",), sums=("late", "back", "implausible"), maxs=("late_us", "back_us")),
        "minutes": Question(("source", "minute")),
    },
    _derive,
)
