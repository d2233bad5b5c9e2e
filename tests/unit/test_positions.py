"""What the driver knows of its partitions."""

from __future__ import annotations

import pytest
from kafka import TopicPartition

from detector.errors import DeliveryError
from detector.stream.positions import Positions
from detector.window import Span, SpanResult, WindowResult

TP = TopicPartition("logs", 0)
OTHER = TopicPartition("logs", 1)


def window(start: int, end: int, *, partition: int = 0, last: int = 1_000) -> WindowResult:
    return WindowResult((SpanResult(Span("logs", partition, start, end, end - start, last), end - start, 0),))


@pytest.fixture
def positions() -> Positions:
    made = Positions()
    made.assign(TP, 100)
    made.assign(OTHER, 0)
    return made


class TestAccept:
    def test_contiguous(self, positions: Positions) -> None:
        """Windows that follow each other move the position."""
        assert positions.accept(window(100, 110)) == {TP: 110}
        assert positions.accept(window(110, 150)) == {TP: 150}
        assert positions.starts == {TP: 150, OTHER: 0}

    @pytest.mark.parametrize("start", [90, 101])
    def test_gap_or_overlap(self, positions: Positions, start: int) -> None:
        """A window that begins elsewhere than expected is refused: something would be lost or doubled."""
        with pytest.raises(DeliveryError, match="expected 100"):
            positions.accept(window(start, 120))

    def test_foreign(self, positions: Positions) -> None:
        """A window of a partition that is not ours is refused."""
        with pytest.raises(DeliveryError, match="logs-7"):
            positions.accept(window(0, 1, partition=7))


class TestCommit:
    def test_progress(self, positions: Positions) -> None:
        """Only a position beyond the last one is progress."""
        assert not positions.commit({TP: 100})
        assert positions.commit({TP: 120})
        assert not positions.commit({TP: 110})
        assert positions.committed == {TP: 120, OTHER: 0}

    def test_given_away(self, positions: Positions) -> None:
        """What is committed of a partition that was given away meanwhile changes nothing."""
        positions.drop([TP])

        assert not positions.commit({TP: 500})
        assert positions.owned == {OTHER}

    def test_reached(self, positions: Positions) -> None:
        """A window is done when all its positions are committed."""
        positions.commit({TP: 120})

        assert positions.reached({TP: 120})
        assert not positions.reached({TP: 120, OTHER: 1})

    def test_lag(self, positions: Positions) -> None:
        """Lag counts from what is committed to the end that a reader saw."""
        positions.accept(window(100, 110, last=200))
        positions.commit({TP: 105})

        assert positions.lag() == {TP: 95}


class TestSuspects:
    def test_two_deaths_without_progress(self, positions: Positions) -> None:
        """A partition is suspect when its reader died twice and nothing was read in between."""
        positions.blame()
        assert positions.suspects == frozenset()
        positions.blame()

        assert positions.suspects == {TP, OTHER}

    def test_progress_clears(self, positions: Positions) -> None:
        """Whatever moves is not to blame."""
        positions.blame()
        positions.accept(window(100, 110))
        positions.blame()

        assert positions.suspects == {OTHER}

    def test_nothing_to_read(self, positions: Positions) -> None:
        """A partition that is read to its end has no record that could be to blame."""
        positions.accept(window(0, 10, partition=1, last=10))
        for _ in range(2):
            positions.blame()

        assert positions.suspects == {TP}

    def test_newer_than_what_a_reader_saw(self, positions: Positions) -> None:
        """A record that came after the last end that a reader told may be the one that kills it."""
        positions.accept(window(100, 110, last=110))
        for _ in range(2):
            positions.blame()
        positions.assign(TP, 110, 111)

        assert TP in positions.suspects


class TestStop:
    def test_stopped(self, positions: Positions) -> None:
        """A partition that cannot be read is named with the reason until it is given away or placed anew."""
        positions.stop(TP, "offset 100 is beyond the end 5")

        assert positions.owned == {OTHER}
        assert positions.stopped == {TP: "offset 100 is beyond the end 5"}
        positions.assign(TP, 0)
        assert positions.stopped == {}
