"""What a window's matches are to correlations: one entry for each event and correlation that refers to its rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from detector.alerts.text import cut
from detector.correlation.rule import Correlation
from detector.events import Event
from detector.sigma.fields import EventView
from detector.sigma.values import number_of

MAX_AHEAD_US = 300_000_000
"""An event whose time is later than its record's by more than five minutes counts at the record's time."""
_LAST_US = 253_402_300_799_000_000
"""The last second of the year 9999: a calendar ends there."""
MAX_KEY_BYTES = 256
"""Longer values of the fields of `group-by` are cut; longer values that are counted stand by their hash."""


class Entry(NamedTuple):
    """An event for a correlation.

    definition: that of the correlation. rule: the place of its rule there. group: `group_of` its fields.
    value: what is counted (a text) or computed with (a number); of entries for alerts see `outgoing`.
    timestamp_ms: of the record.
    shard: what all events that it must meet have in common.
    """

    definition: str
    rule: int
    group: str
    time_us: int
    offset: int
    ordinal: int
    value: str | float | list[Any] | None
    timestamp_ms: int
    shard: str = ""


class Input(NamedTuple):
    """What a correlation takes of the events of one of its rules."""

    definition: str
    rule: int
    fields: tuple[str, ...]
    values: tuple[str, ...]
    numbers: bool
    family: str
    shared: tuple[int, ...]


Inputs = Mapping[str, Sequence[Input]]
"""By the key of a rule."""


def inputs_of(correlations: Sequence[Correlation]) -> Inputs:
    """What the correlations take, by rule."""
    inputs: dict[str, list[Input]] = {}
    for each in correlations:
        for place, key in enumerate(each.rules):
            fields, values = each.fields[place], each.values[place]
            numbers = each.numeric
            taken = Input(each.definition, place, fields, values, numbers, each.family, each.shared)
            inputs.setdefault(key, []).append(taken)
    return inputs


def silenced(correlations: Sequence[Correlation]) -> frozenset[str]:
    """Keys of the rules that are no alerts themselves: some correlation refers to them, and none says `generate`."""
    loud = {key for each in correlations if each.generate for key in each.rules}
    return frozenset(key for each in correlations for key in each.rules) - loud


def entries_of(
    inputs: Sequence[Input], views: Sequence[EventView], event: Event, offset: int, timestamp_ms: int
) -> Iterator[Entry]:
    """The entries of an event that the inputs' rule matched; an event that lacks a field of one counts for none.

    views: the event through the log sources that the rule matched through.
    """
    time_us = time_of(event.time_us, timestamp_ms)
    for each in inputs:
        for view in views:
            group = _texts(view, each.fields)
            if group is None:
                continue
            value: str | float | None = None
            if each.values:
                value = _number(view, each.values[0]) if each.numbers else _value(view, each.values)
                if value is None:
                    continue
            key = group_of(group)
            whole = each.shared == tuple(range(len(group)))
            shard = each.family + (key if whole else group_of([group[place] for place in each.shared]))
            yield Entry(each.definition, each.rule, key, time_us, offset, event.ordinal, value, timestamp_ms, shard)
            break


def time_of(event_us: int | None, timestamp_ms: int) -> int:
    """When an event happened, to a correlation, in microseconds: a clock that is ahead moves nothing."""
    record_us = max(0, timestamp_ms) * 1_000
    if event_us is None or (event_us > record_us + MAX_AHEAD_US and timestamp_ms > 0):
        return min(record_us, _LAST_US)
    return min(max(0, event_us), _LAST_US)


def group_of(values: Sequence[str]) -> str:
    """The JSON array of the values of a group."""
    return orjson.dumps(values).decode()


def _texts(view: EventView, fields: Sequence[str]) -> list[str] | None:
    """The text of each field, the first one where it has several; None where one has none."""
    found = []
    for name in fields:
        texts = view.texts(name)
        if not texts:
            return None
        found.append(cut(texts[0], MAX_KEY_BYTES))
    return found


def _value(view: EventView, fields: Sequence[str]) -> str | None:
    found = []
    for name in fields:
        texts = view.texts(name)
        if not texts:
            return None
        found.append(texts[0])
    text = found[0] if len(found) == 1 else "\0".join(found)
    encoded = text.encode(errors="replace")
    if len(encoded) <= MAX_KEY_BYTES:
        return encoded.decode()
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def _number(view: EventView, field: str) -> float | None:
    numbers = (number_of(value) for value in view.found(field).values)
    found = next((number for number in numbers if number is not None), None)
    return None if found is None else float(found)
