"""The Ray cluster: one of our own in this pod, or an existing one."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from detector import config, logs
from detector.errors import DetectorError
from detector.stream import internals

SPARES = 1

log = structlog.get_logger()


@contextmanager
def running(settings: config.Ray, *, readers: int) -> Iterator[None]:
    """Be connected to `settings.address`, or to a cluster of our own with a slot for each reader and a spare one.

    A process that is connected already (a notebook) stays so.
    The spare slot keeps a warm process for the one that dies.

    Raises:
        DetectorError: there is no cluster at the address, or none can be started.
    """
    import ray

    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": False}
    if settings.address is None:
        options |= {
            "address": "local",
            "num_cpus": readers + SPARES,
            "_node_ip_address": "127.0.0.1",
            # Ray ends idle processes beyond this many: the readers, the spare ones and the actor with the tickets.
            "_system_config": {"num_workers_soft_limit": readers + SPARES + 1},
            "object_store_memory": settings.object_store_mb << 20,
            "include_dashboard": settings.dashboard,
            "_temp_dir": str(settings.temp_dir) if settings.temp_dir else None,
        }
    else:
        options["address"] = settings.address
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # about a default for GPUs, of which there are none
            ray.init(**options)
            logs.adopt("ray", "ray.data")
            internals.forward_messages(log)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        where = f"the Ray cluster at {settings.address}" if settings.address else "a local Ray"
        hint = (
            "see that it runs, that ray.address is right and RAY_AUTH_TOKEN is its token"
            if settings.address
            else f"see that {settings.temp_dir or tempfile.gettempdir()} and /dev/shm are writable and large enough"
        )
        raise DetectorError(f"cannot start {where} ({error}); {hint}") from error
    try:
        yield
    finally:
        ray.shutdown()
