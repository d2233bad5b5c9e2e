"""The stall bench counts windows from outside: alerts of one partition that were detected together."""

from __future__ import annotations

from tests.bench.stall import windows_between
from tests.harness.watch import Seen


def alert(partition: int, detected: float) -> Seen:
    return Seen(0.0, False, None, "", "", partition, 0, detected)


class TestWindowsBetween:
    def test_by_partition(self) -> None:
        """Alerts close together are of one window; each partition counts for itself."""
        seen = [alert(0, 10.0), alert(0, 10.005), alert(1, 10.01), alert(0, 10.2), alert(0, 10.21), alert(0, 10.4)]

        assert windows_between(seen, 9.0, 11.0) == {0: 3, 1: 1}

    def test_only_that_time(self) -> None:
        """Windows before and after do not count."""
        assert windows_between([alert(0, 1.0), alert(0, 5.0), alert(0, 9.0)], 2.0, 8.0) == {0: 1}
        assert windows_between([alert(0, 1.0)], 2.0, 8.0) == {}
