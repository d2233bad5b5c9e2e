"""How an epoch ends: its readers hold a ticket, and return by themselves once it is withdrawn.

Cancelling them instead would end their processes, and the next epoch would wait seconds for new ones.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    from detector.pipeline import Spec


@ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1024)
class Tickets:
    """Holds the ticket of each running epoch and the spec that its workers compile."""

    def __init__(self) -> None:
        self._withdrawn: dict[int, asyncio.Event] = {}
        self._specs: dict[str, Spec] = {}

    async def issue(self, epoch: int, spec: Spec) -> None:
        """Begin an epoch; only its spec is kept from now on."""
        self._withdrawn[epoch] = asyncio.Event()
        self._specs = {spec.sha: spec}

    async def spec(self, sha: str) -> Spec:
        """The spec of that name."""
        return self._specs[sha]

    async def withdraw(self, epoch: int) -> None:
        """Ask the readers of an epoch to return."""
        event = self._withdrawn.pop(epoch, None)
        if event is not None:
            event.set()

    async def withdrawn(self, epoch: int) -> None:
        """Return when the epoch's ticket is withdrawn (at once for one that is not known)."""
        event = self._withdrawn.get(epoch)
        if event is not None:
            await event.wait()


class Ticket:
    """A reader's view of its ticket: `valid` is a look at local memory, no call."""

    __slots__ = ("_ref",)

    def __init__(self, tickets: Any, epoch: int) -> None:
        self._ref = tickets.withdrawn.remote(epoch)

    @property
    def valid(self) -> bool:
        """False once the ticket was withdrawn, or its holder (and with it the driver) is gone."""
        ready, _ = ray.wait([self._ref], timeout=0)
        return not ready
