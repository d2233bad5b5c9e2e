"""kafka-python's group coordinator, mended, and what the driver must know of its inside. Read in kafka-python 3.0.12.

There, a rebalance that ends while nobody waits in `poll` is forgotten: the member joins again, and with short polls
the group rebalances for ever; or, where new partitions were the reason, it never gets out of the rebalance. Here its
end waits for the next poll.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from kafka import TopicPartition
from kafka.coordinator.consumer import ConsumerCoordinator
from kafka.future import Future

_ENOUGH_MS = 100


class Coordinator(ConsumerCoordinator):  # type: ignore[misc]
    """The coordinator of a consumer whose `poll` never waits. Its coroutines run on kafka-python's IO thread."""

    _finished: Future | None = None

    @classmethod
    def of(cls, consumer: Any) -> Coordinator:
        """Mend a consumer's coordinator, before its first `poll`."""
        coordinator = consumer._coordinator  # noqa: SLF001
        coordinator.__class__ = cls
        assert isinstance(coordinator, cls)
        return coordinator

    def need_rejoin(self) -> bool:
        """Whether a poll has to see to a rebalance, also one that is under way."""
        needed: bool = super().need_rejoin()
        return needed or self._join_task is not None

    async def join_group_async(self, timeout_ms: float | None = None) -> bool:
        """Let a join that has finished be seen."""
        if self._finished is not None:
            self._finished.success(None)
            self._finished = None
            timeout_ms = max(timeout_ms or 0, _ENOUGH_MS)  # it is there: this only must not miss it
        joined: bool = await super().join_group_async(timeout_ms)
        return joined

    async def _do_join_and_sync_async(self) -> bytes:
        error: Exception | None = None
        assignment = b""
        try:
            assignment = await super()._do_join_and_sync_async()
        except Exception as raised:  # noqa: BLE001 -- raised below, once somebody looks
            error = raised
        self._finished = Future()
        await self._finished
        if error is not None:
            raise error
        return assignment

    def introduce(self) -> None:
        """Ask for a rebalance unless this member led the last one.

        A static member that is back gets its old partitions without one, and without being told that it leads the
        group: then nobody looks for new partitions any more, and other topics than before would not be seen.
        """
        if not self._is_leader:
            self.request_rejoin()

    def fenced(self) -> bool:
        """Whether a heartbeat was answered by "fenced": kafka-python then only stops the heartbeats."""
        return self.stable() and not self.rejoining and not self._heartbeat_enabled

    def answers(self, within_s: float) -> bool:
        """Whether the broker that coordinates the group is known, and has answered lately if it was asked."""
        if self.coordinator_unknown():
            return False
        last = max(self.heartbeat.last_receive, self.heartbeat.last_reset)
        return not self.stable() or time.monotonic() - last < within_s

    def committed(self, partitions: Collection[TopicPartition], timeout_s: float) -> dict[TopicPartition, int]:
        """What the group has committed, in one request; no key where it has nothing.

        Raises:
            KafkaError: of kafka-python.
        """
        found = self.fetch_committed_offsets(list(partitions), timeout_ms=round(timeout_s * 1_000))
        return {tp: offset.offset for tp, offset in found.items()}
