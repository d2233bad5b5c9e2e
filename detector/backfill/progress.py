"""How a back-fill goes, and what it came to, for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self, TextIO

import orjson

from detector.alerts.text import printable

if TYPE_CHECKING:
    from detector.backfill.run import Request, Summary


class Progress:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[found]}"),
            console=Console(file=stream),
            disable=not stream.isatty(),
        )
        self._task: Any = None

    def __enter__(self) -> Self:
        self._bars.start()
        self._task = self._bars.add_task("reading, evaluating", total=None, found="")
        return self

    def __exit__(self, *_error: object) -> None:
        self._bars.stop()

    def show(self, summary: Summary, total: int) -> None:
        """Move the bar."""
        found = f"{summary.records:,} records, {sum(summary.alerts.values()):,} alerts"
        self._bars.update(self._task, completed=summary.bytes, total=max(total, summary.bytes), found=found)


def report(summary: Summary) -> str:
    """The summary as one JSON object."""
    text = asdict(summary)
    rate = round(summary.records / summary.seconds) if summary.seconds and not summary.chunks_resumed else None
    return orjson.dumps(text | {"records_per_second": rate}).decode()


def describe(summary: Summary, request: Request) -> str:
    """The summary as text."""
    lines = [
        f"{summary.records:,} records of {summary.files:,} files, {summary.bytes:,} bytes, in {summary.seconds:.1f} s",
        f"  {summary.evaluated:,} evaluated, {summary.rejected:,} rejected",
        f"  alerts        {_counts(summary.alerts)}",
        f"  dead letters  {_counts(summary.dead_letters)}",
        f"  formats       {_counts(summary.events)}",
        f"written to {printable(str(request.out))}"
        + (f", events to {printable(str(request.events))}" if request.events else ""),
    ]
    if summary.lake_head:
        lines.append(f"the lake's hash chain ends in {summary.lake_head}")
    if summary.chunks_resumed:
        lines.insert(1, f"  {summary.chunks_resumed:,} chunks were done before")
    return "\n".join(lines)


def _counts(counts: dict[str, int]) -> str:
    total = f"{sum(counts.values()):,}"
    parts = ", ".join(f"{label} {count:,}" for label, count in sorted(counts.items(), key=lambda each: -each[1]))
    return f"{total} ({parts})" if parts else total
