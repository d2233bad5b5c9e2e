"""`python -m tests.bench NAME [--json] [--short]`: measure, and print the figures; `all` runs every benchmark in turn.

The last line is one JSON object with --json (for `all`, of one object for each benchmark), else there is a table.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from typing import Any

NAMES = (
    "accuracy",
    "attacks",
    "backfill",
    "correlation",
    "enrichment",
    "ingest",
    "latency",
    "parse",
    "performance",
    "quality",
    "sigma",
    "soak",
    "stall",
    "start",
    "throughput",
)
"""Each is a module of this package with a function `run(*, short: bool)` that returns its figures."""


def main(arguments: list[str]) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--short", action="store_true", help="less of everything: whether it works, not how fast")
    options = parser.parse_args(arguments)
    names = NAMES if options.name == "all" else (options.name,)
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        module = importlib.import_module(f"tests.bench.{name}")
        print(f"{name}: {(module.__doc__ or '').splitlines()[0]}", flush=True)
        results[name] = module.run(short=options.short)
        if options.json and len(names) > 1:
            print(json.dumps({name: results[name]}), flush=True)
        elif not options.json:
            for key, value in results[name].items():
                print(f"  {key:40} {value:,}" if isinstance(value, int) else f"  {key:40} {value}", flush=True)
    if options.json:
        print(json.dumps(results if options.name == "all" else results[options.name]), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
