"""`python -m tests.chaos NAME`: run a fault against the real service; the last line says what the oracle found."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import orjson

from detector.kafka.local import LocalKafka
from tests.chaos import kill, storm
from tests.chaos.faults import FAULTS
from tests.chaos.result import Result
from tests.chaos.scene import Scene

DELIVERIES = ("at_least_once", "exactly_once")


def main() -> int:
    """Run; 0 if nothing that must not happen has happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("name", choices=["kill", "storm", *FAULTS])
    parser.add_argument("--cycles", type=int, default=20, help="of kill")
    parser.add_argument("--short", action="store_true", help="less of it; not for kill, which has --cycles")
    parser.add_argument("--delivery", choices=[*DELIVERIES, "both"], default="both")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--method", choices=kill.METHODS, help="kill only in this way")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--bootstrap", help="kill: another broker than one of our own")
    options = parser.parse_args()
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr)
    deliveries = DELIVERIES if options.delivery == "both" else (options.delivery,)
    report: dict[str, object] = {"name": options.name, "seed": seed}
    failed = False
    for delivery in deliveries:
        choose = random.Random(f"{seed} {delivery}")
        folder = Path(tempfile.mkdtemp(prefix=f"detector-chaos-{options.name}-{delivery}-"))
        print(f"{delivery}: logs in {folder}", file=sys.stderr)
        result = _run(options, folder, delivery, choose)
        report[delivery] = asdict(result)
        failed |= bool(result.faults)
        print(f"{delivery}: {result}", file=sys.stderr)
        if not result.faults:
            shutil.rmtree(folder)
    if options.json:
        print(orjson.dumps(report | _sum(report, deliveries)).decode())
    return int(failed)


def _run(options: argparse.Namespace, folder: Path, delivery: str, choose: random.Random) -> Result:
    if options.name == "storm":
        with LocalKafka() as node:
            return storm.run(node.bootstrap, folder, delivery, short=options.short)
    if options.name != "kill":
        with Scene(folder, delivery, choose) as scene:
            return FAULTS[options.name](scene, short=options.short)
    methods = [options.method] * options.cycles if options.method else kill.schedule(options.cycles, choose)
    if options.bootstrap:
        return kill.run(options.bootstrap, folder, delivery, methods, choose)
    with LocalKafka() as node:
        return kill.run(node.bootstrap, folder, delivery, methods, choose)


def _sum(report: dict[str, object], deliveries: tuple[str, ...]) -> dict[str, float]:
    """The figures over all modes; raw duplicates are those under exactly_once, if it was run."""
    results = {name: dict(report[name]) for name in deliveries}  # type: ignore[call-overload]
    figures = {name: sum(each[name] for each in results.values()) for name in ("lost", "doubled", "invented")}
    judged = results.get("exactly_once") or results[deliveries[0]]
    figures["raw_duplicates"] = judged["raw_duplicates"]
    figures["recovery_seconds_max"] = max(each["recovery_seconds_max"] for each in results.values())
    return figures


if __name__ == "__main__":
    sys.exit(main())
