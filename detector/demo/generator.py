"""Logs of a made-up company: the same seed and the same times give the same bytes, and no record comes twice.

Most of them are harmless; a known share is planted attacks. The benchmarks and the chaos tests use it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import Random

from detector.demo.attacks import Campaigns
from detector.demo.cloud import Cloud
from detector.demo.hosts import Hosts
from detector.demo.lines import Log, Stamp, Topic
from detector.demo.web import Web


class Generator:
    """An endless mix of logs: about 85 % web, 10 % sshd and 5 % CloudTrail."""

    def __init__(self, seed: int, *, planted: float = 0.002) -> None:
        """Begin anew.

        Args:
            seed: whatever number; the same one gives the same logs.
            planted: share of the records that are planted attacks, from 0 to below 0.5.
        """
        # Streams of their own, so that more of one kind does not change the others.
        self._random, web, hosts, cloud, attacks = (Random(f"{seed} {part}") for part in range(5))  # noqa: S311
        self._web = Web(web)
        self._hosts = Hosts(hosts)
        self._cloud = Cloud(cloud)
        self._campaigns = Campaigns(attacks, self._hosts, self._cloud)
        self._stamp = Stamp()
        self._mean_gap = 1 / planted if planted else 0.0
        self._until_planted = self._gap()

    def logs(self, times_us: Iterable[int]) -> Iterator[Log]:
        """One log for each time (microseconds since 1970), which the log states to the second."""
        draw, stamp = self._random.random, self._stamp
        for time_us in times_us:
            stamp.set(time_us)
            self._until_planted -= 1
            if not self._until_planted:
                self._until_planted = self._gap()
                yield self._campaigns.line(stamp)
                continue
            kind = draw()
            if kind < 0.85:
                yield Log(Topic.WEB, self._web.line(stamp).encode(), None)
            elif kind < 0.95:
                yield Log(Topic.AUTH, self._hosts.line(stamp).encode(), None)
            else:
                yield Log(Topic.CLOUD, self._cloud.record(stamp).encode(), None)

    def _gap(self) -> int:
        """Records until the next planted one: 1 and more; never 0 again where nothing is planted."""
        return 1 + int(self._random.random() * 2 * (self._mean_gap - 1) + 0.5) if self._mean_gap else 0


def access_lines(count: int, seed: int, start_us: int, per_second: int = 5_000) -> Iterator[bytes]:
    """Harmless access-log lines in bulk, `per_second` of them in each second from `start_us`."""
    web, stamp = Web(Random(seed)), Stamp()  # noqa: S311 -- it must be repeatable
    for number in range(count):
        if not number % per_second:
            stamp.set(start_us + number // per_second * 1_000_000)
        yield web.line(stamp).encode()
