"""What the demo shows: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from detector.alerts.render import columns, line, use_color
from detector.demo.judge import Judge
from detector.demo.traffic import Traffic
from detector.demo.watch import Arrival

_STYLES = {
    "critical": "bold white on red",
    "high": "bold red",
    "medium": "yellow",
    "low": "cyan",
    "informational": "dim",
}
_OTHER_LINES = 16  # of the view, besides the latest alerts


@dataclass(frozen=True, slots=True)
class Scene:
    """What is going on: `phase` in words, `detail` is what changes within it."""

    phase: str
    detail: str
    traffic: Traffic | None
    judge: Judge


class View(Protocol):
    """Shows a demo; a context manager."""

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, scene: Scene, arrivals: Iterable[Arrival]) -> None:
        """Show what is going on, and the alerts that came since the last call."""
        ...


def make_view() -> View:
    """The view that fits standard output."""
    return LiveView() if sys.stdout.isatty() else PlainView()


class PlainView:
    """A line for each alert on standard output; what is going on, on standard error."""

    def __init__(self) -> None:
        self._phase = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def show(self, scene: Scene, arrivals: Iterable[Arrival]) -> None:
        """Show the phase when it changes, and the alerts."""
        if scene.phase != self._phase:
            self._phase = scene.phase
            sys.stderr.write(f"{scene.phase}\n")
            sys.stderr.flush()
        for arrival in arrivals:
            text = line(arrival.alert, color=use_color(sys.stdout), latency_ms=arrival.latency_ms)
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class LiveView:
    """Counters, the attacks planted and found, and the latest alerts, drawn over themselves."""

    def __init__(self) -> None:
        console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=console, refresh_per_second=8, auto_refresh=False, redirect_stderr=False)
        self._latest: deque[Arrival] = deque(maxlen=max(5, console.height - _OTHER_LINES))

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def show(self, scene: Scene, arrivals: Iterable[Arrival]) -> None:
        """Draw everything anew."""
        self._latest.extend(arrivals)
        parts: list[RenderableType] = [
            Text(f" {scene.phase} {scene.detail}", "bold", no_wrap=True, overflow="ellipsis")
        ]
        if scene.traffic is not None:
            parts += [_counters(scene.traffic, scene.judge), attacks(scene.judge), self._alerts()]
        self._live.update(Group(*parts), refresh=True)

    def _alerts(self) -> Table:
        table = Table(box=None, expand=True, pad_edge=True, header_style="bold dim")
        table.add_column("time", no_wrap=True, width=12)
        table.add_column("level", no_wrap=True, width=8)
        for name, ratio in (("rule", 3), ("entity", 3), ("evidence", 4)):
            table.add_column(name, no_wrap=True, ratio=ratio, overflow="ellipsis")
        table.add_column("latency", no_wrap=True, justify="right", width=8)
        for arrival in reversed(self._latest):
            cells = columns(arrival.alert, latency_ms=arrival.latency_ms)
            texts = [Text(cell, overflow="ellipsis") for cell in cells]
            texts[0] = Text(cells.time[11:])
            texts[1].stylize(_STYLES.get(cells.level, ""))
            table.add_row(*texts)
        return table


def _counters(traffic: Traffic, judge: Judge) -> Text:
    p50, p99 = (judge.latencies.percentile(share) for share in (0.5, 0.99))
    latency = f"{p50:.0f} / {p99:.0f} ms" if p50 is not None and p99 is not None else "-"
    return Text(
        f" {traffic.acknowledged:,} records   {traffic.rate:,.0f}/s   {judge.alerts:,} alerts   "
        f"{judge.unexpected} unexpected   record to alert p50 / p99: {latency}\n"
    )


def print_summary(judge: Judge, counts: Mapping[str, float | None]) -> None:
    """Print what was found and all counts."""
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(attacks(judge))
    table = Table(box=None, show_header=False, pad_edge=True)
    table.add_column()
    table.add_column(justify="right")
    for name, value in counts.items():
        table.add_row(name.replace("_", " "), "-" if value is None else f"{value:,}")
    console.print(table)


def attacks(judge: Judge) -> Table:
    """What was planted and what was found, by kind of attack."""
    table = Table(box=None, pad_edge=True, header_style="bold dim")
    table.add_column("planted attack")
    table.add_column("records", justify="right")
    table.add_column("found", justify="right")
    for attack, tally in judge.tallies.items():
        found = Text(str(tally.found), "green" if tally.found == tally.planted else "yellow")
        table.add_row(attack.value, str(tally.planted), found)
    table.add_row()
    return table
