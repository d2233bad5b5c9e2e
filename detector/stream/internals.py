"""The one place that touches private parts of Ray (read in 2.60.0).

Each part is looked for before it is set; one that is gone is named, counted and logged, and the service runs on,
slower or less bounded.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import ray
from ray.data import DataContext, Dataset
from ray.data._internal.execution.backpressure_policy import ENABLED_BACKPRESSURE_POLICIES
from ray.data._internal.execution.backpressure_policy.backpressure_policy import BackpressurePolicy

POLL_INTERVAL_S = 0.01
"""How often the executor looks for finished blocks: latency against the driver's CPU (decision 004)."""

NAP_S = 0.002
"""How often the iterator looks for a result: latency against 1 % of the driver's CPU."""

LIMITS_INTERVAL_S = 0.02
"""How often the executor looks at the cluster's resources: readers but the first start that much later."""

MAX_WAITING_WINDOWS = 2
"""Window results that may wait for the driver before readers stop reading."""


class NoPrefetcher:
    """Stands for the prefetcher of an iterator with `prefetch_batches=0`, which never uses it and never stops it.

    Ray's own keeps a thread for ever for each Dataset that was iterated. Another iterator of the process fetches each
    block when it comes to it.
    """

    def prefetch_blocks(self, blocks: list[Any]) -> None:
        """Fetch nothing ahead."""

    def stop(self) -> None:
        """There is nothing to stop."""


class WaitingForOne:
    """Stands for `ray` in the executor's turns: they go on with the first result, and with all that are there.

    Ray's own wait until every reader has one, or the poll interval is over.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(ray, name)

    @staticmethod
    def wait(refs: list[Any], *, num_returns: int, timeout: float, fetch_local: bool) -> tuple[list[Any], list[Any]]:
        """See `ray.wait`."""
        ready, others = ray.wait(refs, num_returns=1, timeout=timeout, fetch_local=fetch_local)
        if others:
            ready, others = ray.wait(refs, num_returns=num_returns, timeout=0, fetch_local=fetch_local)
        return ready, others


class ShorterNaps:
    """Stands for `time` there: who waits for a result sleeps `NAP_S` at a time, not Ray's 10 ms."""

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)

    @staticmethod
    def sleep(seconds: float) -> None:
        """See `time.sleep`."""
        time.sleep(min(seconds, NAP_S))


_EXECUTION = "ray.data._internal.execution"
_ITERATION = "ray.data._internal.block_batching.iter_batches"
_STATE = f"{_EXECUTION}.streaming_executor_state"
_REPLACEMENTS: tuple[tuple[str, str | None, str, Any], ...] = (
    (_STATE, None, "WAIT_FOR_TASK_COMPLETION_TIMEOUT_S", POLL_INTERVAL_S),
    (_STATE, None, "ray", WaitingForOne()),
    (_STATE, None, "time", ShorterNaps()),
    # Else what a result says of itself is fetched by another thread, and the result is passed on a turn later.
    (f"{_EXECUTION}.metadata_fetcher", None, "_PREFETCH_ON_THREAD", False),
    (f"{_EXECUTION}.resource_manager", "ResourceManager", "GLOBAL_LIMITS_UPDATE_INTERVAL_S", LIMITS_INTERVAL_S),
    (_ITERATION, None, "WaitBlockPrefetcher", NoPrefetcher),
)


class WaitingWindows(BackpressurePolicy):  # type: ignore[misc]
    """Back-pressure by count: Ray's own policies count bytes, and window results are tiny."""

    def max_task_output_bytes_to_read(self, op: Any) -> int | None:
        """0 while enough results wait for the driver, else no limit of ours.

        The executor asks in every turn, and while results are there that it must not take its turns have no pause of
        their own: without this one it burns a whole core until the driver goes on.
        """
        if self._topology[op].total_enqueued_output_blocks() < MAX_WAITING_WINDOWS:
            return None
        time.sleep(POLL_INTERVAL_S)
        return 0


def apply(context: DataContext) -> tuple[str, ...]:
    """Set the constants and replacements for this process and the policy for `context`.

    Returns:
        The names of the private parts that this release of Ray no longer has.
    """
    missing = []
    for module, owner, name, value in _REPLACEMENTS:
        target: Any = importlib.import_module(module)
        target = getattr(target, owner, None) if owner else target
        if hasattr(target, name):
            setattr(target, name, value)
        else:
            missing.append(f"{module}.{name}")
    context.set_config("backpressure_policies.enabled", [*ENABLED_BACKPRESSURE_POLICIES, WaitingWindows])
    return tuple(missing)


def forget() -> None:
    """Empty two caches that only grow: each Dataset adds remote functions and an actor class that no other one uses."""
    for module, owner, name in (
        ("ray.data._internal.remote_fn", None, "CACHED_FUNCTIONS"),
        ("ray.actor", "_ActorClassMethodMetadata", "_cache"),
    ):
        target: Any = importlib.import_module(module)
        cache = getattr(getattr(target, owner, None) if owner else target, name, None)
        if isinstance(cache, dict):
            cache.clear()


def forward_messages(log: Any) -> None:
    """Let what Ray's node says (a process died, memory is short) be an event of our log, not a line on the terminal."""
    from ray._private import ray_logging

    dispatcher = getattr(ray_logging, "global_worker_stdstream_dispatcher", None)
    if dispatcher is not None:
        dispatcher.remove_handler("ray_print_logs")
        dispatcher.add_handler(
            "detector", lambda data: log.warning("ray message", message="\n".join(data.get("lines", ()))[:2000])
        )


def operators(dataset: Dataset) -> tuple[str, ...]:
    """The names of the tasks that Ray makes of a Dataset, in order, its inputs left out.

    Reading and evaluating must be one (fused): unfused, the readers hold all CPU slots and nothing is ever evaluated.
    """
    from ray.data._internal.logical.optimizers import get_execution_plan

    plan, _callbacks = get_execution_plan(dataset._logical_plan)  # noqa: SLF001
    names: list[str] = []
    operator = plan.dag
    while operator.input_dependencies:
        names.append(operator.name)
        (operator,) = operator.input_dependencies
    return tuple(reversed(names))
