"""What an attacker who makes up groups can do to the state: nothing to those that are about to fire."""

from __future__ import annotations

import pytest

from detector.config import Correlation as Settings
from detector.correlation.fold import Fold
from detector.correlation.inputs import Entry, group_of
from detector.correlation.signals import Columns
from tests.correlations import correlation

LIMIT = 2_000
FLOOD = 40_000
BATCH = 1_000
VICTIM = group_of(["192.0.2.1"])
SECTIONS = (
    {"type": "event_count", "condition": {"gte": 5}},
    {"type": "value_count", "condition": {"gte": 5, "field": "v"}},
)


def message(definition: str, groups: list[str], offset: int) -> Columns:
    """An event of each group, as the fold reads them."""
    entries = [
        Entry(definition, 0, group, 1_000 + offset + at, offset + at, 0, str(offset + at), 0)
        for at, group in enumerate(groups)
    ]
    columns = [list(column) for column in zip(*entries, strict=True)][:-1]
    columns[0] = [0] * len(entries)
    return Columns("logs:0", offset, offset + len(groups), None, [definition], columns)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section["type"])
def test_flood_of_groups(section: dict[str, object]) -> None:
    """Twenty times as many groups as may be held: no more are held, the flood is counted, and a group that lacks one
    event still fires with it.
    """
    rule = correlation({"rules": ["a"], "group-by": ["g"], "timespan": "10m", **section})
    fold = Fold([rule], ("logs:0",), Settings(max_groups=LIMIT))
    fold.apply(message(rule.definition, [VICTIM] * 4, 0))

    for offset in range(4, FLOOD, BATCH):
        fold.apply(message(rule.definition, [group_of([f"made-up-{offset + at}"]) for at in range(BATCH)], offset))
        assert fold.groups <= LIMIT
    fired = fold.apply(message(rule.definition, [VICTIM], FLOOD + BATCH))

    assert [each.hit.group for each in fired] == [VICTIM]
    assert fold.tally.counts["evicted"] >= FLOOD - LIMIT - BATCH
