"""How an epoch ends: its readers hold a ticket, and return by themselves once it is withdrawn.

Cancelling them instead would end their processes, and the next epoch would wait seconds for new ones. Before other
rules take over, the readers are told of them, and compile them beside their work: nothing waits for that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray

if TYPE_CHECKING:
    from detector.pipeline import Spec


@ray.remote(num_cpus=0, max_restarts=0, max_concurrency=1024)
class Tickets:
    """Holds the ticket of each running epoch, the spec that its workers compile, and the one that follows it."""

    def __init__(self) -> None:
        self._withdrawn: dict[int, asyncio.Event] = {}
        self._specs: dict[str, Spec] = {}
        self._following = ""
        self._missing = 0
        self._changed = asyncio.Condition()

    async def issue(self, epoch: int, spec: Spec) -> None:
        """Begin an epoch; only its spec is kept from now on."""
        self._withdrawn[epoch] = asyncio.Event()
        self._specs = {spec.sha: spec}

    async def prepare(self, spec: Spec, readers: int) -> None:
        """Have the readers compile what takes over next; returns when that many have, or when another spec follows."""
        async with self._changed:
            self._specs[spec.sha] = spec
            self._following, self._missing = spec.sha, readers
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._missing <= 0 or self._following != spec.sha)

    async def following(self, known: str) -> str:
        """The name of the spec to prepare for, once that is another one than `known`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._following not in ("", known))
            return self._following

    async def prepared(self, sha: str) -> None:
        """A reader has compiled a spec."""
        async with self._changed:
            self._missing -= sha == self._following
            self._changed.notify_all()

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


class Preparation:
    """A reader's part in preparing for the spec that follows, in a thread of its own."""

    __slots__ = ("_compile", "_known", "_ref", "_thread", "_tickets")

    def __init__(self, tickets: Any, known: str, compile_spec: Callable[[str], object]) -> None:
        self._tickets = tickets
        self._compile = compile_spec
        self._thread: threading.Thread | None = None
        self._wait_for_another(known)

    def attend(self) -> None:
        """Begin to compile if there is a spec to prepare for; else a look at local memory, no call."""
        if self._thread is not None and self._thread.is_alive():
            return
        ready, _ = ray.wait([self._ref], timeout=0)
        if ready:
            sha = ray.get(self._ref)
            self._thread = threading.Thread(target=self._prepare, args=(sha,), name="prepare", daemon=True)
            self._thread.start()
            self._wait_for_another(sha)

    def _wait_for_another(self, known: str) -> None:
        self._ref = self._tickets.following.remote(known)

    def _prepare(self, sha: str) -> None:
        self._compile(sha)
        self._tickets.prepared.remote(sha)
