"""From a record's timestamp to its alert at a subscriber, under load, over two changes of epoch."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import re2

from detector.kafka.local import LocalKafka
from tests.bench.quality import CORPORA
from tests.chaos.kill import ALERTING_RULES
from tests.chaos.oracle import judge
from tests.harness.load import LoadProcess, timestamp_ms
from tests.harness.service import ServiceProcess
from tests.harness.topics import Topics
from tests.harness.watch import Watcher, read_all
from tests.sigmahq import sources

RATE = 5_000
ALERTING = 0.01
SECONDS = 60
SHORT_SECONDS = 12

_RATIOS = ("p50", "p99")
_LOGSOURCES = re2.compile(r"(?m)^\s+(category: webserver|product: linux|service: (cloudtrail|nginx|apache))\s*$")

_RULE = """
title: A Rule That Changes During the Benchmark
id: 5d3a1b0e-8a64-4a0c-9a51-1f0a7f9f2c11
status: test
description: Matches nothing
author: detector
date: 2026-01-01
logsource:
    category: webserver
detection:
    selection:
        cs-uri-query|contains: 'nothing-of-this-name-{}'
    condition: selection
level: low
"""


def run(*, short: bool) -> dict[str, Any]:
    """Measure both delivery modes, and with SigmaHQ's rules for web servers, Linux and CloudTrail where they are there.

    Keys: p50_ms, p99_ms, max_ms, lost, epochs (changes of epoch while records flowed), alerts; the same under
    `exactly_once.` and `sigmahq.`; sigmahq.rules, sigmahq.ratio_p50 and sigmahq.ratio_p99 (to those without).
    """
    seconds = SHORT_SECONDS if short else SECONDS
    plain, exact = measure("at_least_once", seconds), measure("exactly_once", seconds)
    figures = plain | {f"exactly_once.{name}": value for name, value in exact.items()}
    if not CORPORA.is_dir():
        print(f"  no corpora at {CORPORA}: not measured with SigmaHQ's rules", file=sys.stderr)
        return figures
    rules = [source.text for source in sources() if _LOGSOURCES.search(source.text.decode())]
    more = measure("at_least_once", seconds, rules)
    more |= {"rules": len(rules)} | {
        f"ratio_{key}": round(more[f"{key}_ms"] / plain[f"{key}_ms"], 2) for key in _RATIOS
    }
    return figures | {f"sigmahq.{name}": value for name, value in more.items()}


def measure(delivery: str, seconds: float, rules: Sequence[bytes] = ()) -> dict[str, Any]:
    """One run: records flow for `seconds`; a rule file changes at a quarter, and the epoch's age ends it later.

    rules: texts of more rules.
    """
    with tempfile.TemporaryDirectory(prefix="detector-bench-") as name, LocalKafka() as node:
        folder = Path(name)
        rule = folder / "rules" / "changing.yml"
        rule.parent.mkdir()
        rule.write_text(_RULE.format(0))
        for number, text in enumerate(rules):
            (rule.parent / f"{number}.yml").write_bytes(text)
        topics = Topics.create(node.bootstrap)
        settings = topics.settings(
            output={"delivery": delivery},
            # The age counts from the change of the rule at a quarter of the time.
            epochs={"max_age_s": seconds / 2},
            rules={"paths": [str(rule.parent)]},
        )
        service = ServiceProcess(folder, node.bootstrap, settings)
        load = LoadProcess(node.bootstrap, topics.logs, folder / "journal", rate=RATE, alerting=ALERTING)
        watcher = Watcher(node.bootstrap, topics.alerts, topics.dead_letters)
        try:
            service.start()
            service.wait_ready()
            watcher.start()
            epochs = service.metric("detector_epochs_total")
            load.start(seconds)
            time.sleep(seconds / 4)
            rule.write_text(_RULE.format(1))
            journal = load.wait(seconds + 60)
            topics.wait_committed(60)
            epochs = service.metric("detector_epochs_total") - epochs
            service.terminate()
            seen = read_all(node.bootstrap, topics.alerts, topics.dead_letters)
            if rules:  # whose alerts nobody has planted
                seen = [one for one in seen if one.dead_letter or one.rule in ALERTING_RULES]
            verdict = judge(journal, seen, ALERTING_RULES)
        finally:
            load.close()
            service.close()
            watcher.close()
    assert epochs >= 2, f"{epochs:.0f} changes of epoch while records flowed, where two were meant to be"
    latencies = sorted(seen.arrived * 1_000 - timestamp_ms(seen.token) for seen in watcher.seen if seen.token)
    assert latencies, "no alerts"
    return {
        "p50_ms": round(latencies[len(latencies) // 2], 1),
        "p99_ms": round(latencies[int(len(latencies) * 0.99)], 1),
        "max_ms": round(latencies[-1], 1),
        "lost": verdict.lost,
        "faults": verdict.faults(exactly_once=delivery == "exactly_once"),
        "alerts": len(latencies),
        "epochs": int(epochs),
        "records_per_second": round(journal.total / seconds),
    }
