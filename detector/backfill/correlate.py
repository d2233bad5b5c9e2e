"""Correlations of a back-fill: what its chunks had for them, folded in the order of events' times.

Each task writes the entries of a chunk by hour; then the driver reads hour after hour, so that memory holds one hour's.
The fold is the service's. Only the order differs: all files at once, by time, then file and place, so that nothing is
late and the result is the same however the files are cut.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from detector.backfill.atomic import replaced
from detector.config import Config
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry
from detector.correlation.sending import Sending
from detector.correlation.setting import Setting
from detector.correlation.signals import Columns, Signal, decode, encode, source_of
from detector.sigma.ruleset import RuleSet
from detector.window import Message

_FOLDER = "signals"
_HOUR_US = 3_600_000_000
_CLOCK = source_of("clock", 0)
_MAX_BYTES = 1 << 30  # nothing is sent here
_BATCH = 10_000

Placed = tuple[str, Entry]
"""An entry and its source."""


def source_name(file: str, partition: int) -> str:
    """The source of a file's entries: a name without the colons that end a topic's."""
    return source_of(file.replace("%", "%25").replace(":", "%3A"), partition)


def write(entries: Sequence[Placed], folder: Path, name: str) -> None:
    """Write what a chunk has, `folder/signals/HOUR/NAME`; what an earlier attempt wrote of it is replaced."""
    for old in (folder / _FOLDER).glob(f"*/{name}"):
        old.unlink(missing_ok=True)
    for number, part in groupby(sorted(entries, key=_hour), _hour):
        into = folder / _FOLDER / f"{number:010d}"
        into.mkdir(parents=True, exist_ok=True)
        with replaced(into / name) as temporary:
            temporary.write_bytes(pickle.dumps(sorted(part, key=_order), 5))


def _hour(placed: Placed) -> int:
    return placed[1].time_us // _HOUR_US


def fold(config: Config, rules: RuleSet, folder: Path) -> Iterator[Message]:
    """The messages that all entries below a folder cause: alerts, summaries of suppressed ones, incidents."""
    sending = Sending(Setting(config, 1, _MAX_BYTES, (_CLOCK,)), rules, rules.correlations)
    state = Fold(rules.correlations, [_CLOCK], config.correlation)
    state.stage.use(sending.guards)
    own = source_of("correlations", 0)
    number, last_us = 0, -1
    for batch in _batches(folder):
        last_us = max(last_us, batch[-1][1].time_us)
        for source, part in groupby(batch, lambda each: each[0]):
            number += 1
            yield from _applied(state, sending, _columns(source, [entry for _, entry in part]), (own, number))
        number += 1
        yield from _applied(state, sending, Columns(_CLOCK, 0, 0, last_us, (), ()), (own, number))
    if last_us >= 0:
        longest_us = max((each.timespan_us for each in rules.correlations), default=0)
        end = Columns(_CLOCK, 0, 0, last_us + longest_us + 1, (), ())
        yield from _applied(state, sending, end, (own, number + 1))


def _applied(state: Fold, sending: Sending, message: Columns, at: tuple[str, int]) -> Iterator[Message]:
    sending.begin()
    fired = state.apply(message) if message.source == _CLOCK else state.apply_in_time(message)
    told: list[Entry] = []
    source, number = at
    yield from sending.of(fired, state.stage.take(), (source.partition(":")[0], 0, number), told)
    if told:  # alerts of correlations belong to incidents, too
        state.apply_in_time(_columns(source, told))


def _columns(source: str, entries: Sequence[Entry]) -> Columns:
    """As the service reads them: through JSON."""
    return decode(encode(Signal(source, 0, 0, None, entries)))


def _batches(folder: Path) -> Iterator[list[Placed]]:
    for hour in sorted((folder / _FOLDER).glob("*")):
        found: list[Placed] = []
        for path in sorted(hour.iterdir()):
            if not path.name.startswith("."):
                found += pickle.loads(path.read_bytes())  # noqa: S301 -- our own workers wrote it
        found.sort(key=_order)
        for start in range(0, len(found), _BATCH):
            yield found[start : start + _BATCH]


def _order(each: Placed) -> tuple[int, str, int, int, str, int]:
    source, entry = each
    return entry.time_us, source, entry.offset, entry.ordinal, entry.definition, entry.rule
