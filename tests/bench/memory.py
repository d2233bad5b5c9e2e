"""Memory, files and threads of a running service, process by process."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from tests.harness.service import ServiceProcess

MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Usage:
    """What the service uses: memory of its own (USS), MiB; open files and threads of the driver."""

    driver_mb: float
    gcs_mb: float
    workers_mb: float
    open_files: int
    threads: int


def usage(service: ServiceProcess) -> Usage:
    """Look at it now."""
    driver = gcs = workers = 0.0
    open_files = threads = 0
    assert service.process is not None
    for process in service.processes():
        try:
            name = (process.cmdline() or [""])[0]
            own = process.memory_full_info().uss / MB
            if process.pid == service.process.pid:
                driver, open_files, threads = own, process.num_fds(), process.num_threads()
            elif name.endswith("gcs_server"):
                gcs = own
            elif name.startswith("ray::"):
                workers += own
        except psutil.Error:  # it ended while we looked
            continue
    return Usage(driver, gcs, workers, open_files, threads)
