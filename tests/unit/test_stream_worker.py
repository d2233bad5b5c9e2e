"""How large a reader's windows are."""

from __future__ import annotations

from detector.stream.worker import FIRST_RECORDS, MIN_RECORDS, WINDOW_S, _Pace


class TestPace:
    def test_first(self) -> None:
        """As long as nothing is known, a window is small: each of its records may match a hundred rules."""
        assert _Pace().records == FIRST_RECORDS

    def test_slow_rules(self) -> None:
        """Where a record takes long, the next window holds as many as take about `WINDOW_S`."""
        pace = _Pace()
        pace.note(1_000, 2.0)

        assert pace.records == WINDOW_S / 0.002

    def test_slower_at_once(self) -> None:
        """One slow window is enough for smaller ones, and it takes several fast ones to forget it."""
        pace = _Pace()
        pace.note(1_000, 0.1)
        pace.note(1_000, 2.0)
        after_slow = pace.records
        pace.note(1_000, 0.1)
        after_fast = pace.records

        assert after_slow == 500
        assert after_slow < after_fast < 10_000

    def test_never_none(self) -> None:
        """However slow it is, reading goes on; and an empty window says nothing."""
        pace = _Pace()
        pace.note(1, 60.0)
        pace.note(0, 1.0)

        assert pace.records == MIN_RECORDS
