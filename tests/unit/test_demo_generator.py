"""The demo's logs: repeatable, never the same record twice, and nothing planted but what is said to be."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import unquote_plus

import orjson
import pytest

from detector.demo.generator import Generator, access_lines
from detector.demo.lines import Addresses, Attack, Log, Stamp, Topic

START_US = 1_750_000_000_000_000
COUNT = 60_000


def take(seed: int, count: int = COUNT, planted: float = 0.01) -> list[Log]:
    return list(Generator(seed, planted=planted).logs(range(START_US, START_US + count * 200, 200)))


@pytest.fixture(scope="module")
def logs() -> list[Log]:
    return take(7)


class TestGenerator:
    def test_same_seed_same_bytes(self) -> None:
        """The same seed and times give the same records, however they are asked for."""
        generator = Generator(7, planted=0.01)
        first = list(generator.logs(range(START_US, START_US + 1_000 * 200, 200)))
        rest = list(generator.logs(range(START_US + 1_000 * 200, START_US + 5_000 * 200, 200)))

        assert take(7, 5_000) == first + rest

    def test_bytes_do_not_depend_on_the_machine(self, logs: list[Log]) -> None:
        """The bytes of a seed are what they were on the machine where this test was written."""
        digest = hashlib.sha256(b"\n".join(log.value for log in logs)).hexdigest()

        assert digest[:16] == "18d6081c744a39f9"

    def test_other_seed_other_logs(self, logs: list[Log]) -> None:
        """Two seeds share next to no record."""
        assert len({log.value for log in logs} & {log.value for log in take(8)}) < COUNT / 1_000

    def test_no_record_twice(self, logs: list[Log]) -> None:
        """No record repeats another one, so that no cache wins by repetition."""
        assert len({log.value for log in logs}) == COUNT

    def test_mix(self, logs: list[Log]) -> None:
        """Web, sshd and CloudTrail come in their shares."""
        share = {topic: sum(log.topic is topic for log in logs) / COUNT for topic in Topic}

        assert share == pytest.approx({Topic.WEB: 0.85, Topic.AUTH: 0.1, Topic.CLOUD: 0.05}, abs=0.01)

    @pytest.mark.parametrize("planted", [0.002, 0.01, 0.2])
    def test_planted_share(self, planted: float) -> None:
        """As many records are planted as asked for."""
        share = sum(log.attack is not None for log in take(3, planted=planted)) / COUNT

        assert share == pytest.approx(planted, rel=0.2)

    def test_nothing_planted(self) -> None:
        """A share of nothing plants nothing."""
        assert not any(log.attack for log in take(3, planted=0))

    def test_every_kind_comes_soon(self) -> None:
        """At the demo's rate each kind of attack comes within ten seconds."""
        assert {log.attack for log in take(5, 30_000, planted=0.002)} == {None, *Attack}

    def test_harmless_logs_hold_no_attack(self, logs: list[Log]) -> None:
        """What marks the planted records is in none of the others."""
        marks = (
            *("jndi", "passwd", "shadow", "<script", "onerror", "onload=", "union all", "union select", "sleep(5)"),
            *("waitfor", "../", "sqlmap", "nikto", "nuclei", "gobuster", "/.", "wp-config", "invalid user", "wget"),
            *("192.0.2.", "198.51.100.", "203.0.113.", "stoplogging", '"root"'),
        )
        texts = [unquote_plus(log.value.decode()).lower() for log in logs if log.attack is None]

        assert [text for text in texts if any(mark in text for mark in marks)] == []

    def test_planted_logs_come_from_documentation_networks(self, logs: list[Log]) -> None:
        """Each planted record names an address of RFC 5737."""
        networks = (b"192.0.2.", b"198.51.100.", b"203.0.113.")

        assert all(any(network in log.value for network in networks) for log in logs if log.attack)

    def test_times(self, logs: list[Log]) -> None:
        """Each record states the time that it was asked for, to the second."""
        last = time.gmtime(START_US // 1_000_000 + COUNT * 200 // 1_000_000 - 1)
        expected = {
            Topic.WEB: time.strftime("[%d/%b/%Y:%H:%M:%S +0000]", last),
            Topic.AUTH: time.strftime("%b %e %H:%M:%S ", last),
            Topic.CLOUD: time.strftime('"eventTime":"%Y-%m-%dT%H:%M:%SZ"', last),
        }
        texts = {log.topic: log.value.decode() for log in logs}

        assert all(mark in texts[topic] for topic, mark in expected.items())

    def test_cloud_records_are_json(self, logs: list[Log]) -> None:
        """CloudTrail records are JSON: single events and arrays of them, all with a number of their own."""
        records = [orjson.loads(log.value) for log in logs if log.topic is Topic.CLOUD]
        events = [event for record in records for event in record.get("Records", [record])]

        assert len({event["eventID"] for event in events}) == len(events)
        assert 0.02 < sum("Records" in record for record in records) / len(records) < 0.2


class TestAccessLines:
    def test_bulk(self) -> None:
        """Bulk lines are as many as asked for, all different, and advance by the clock."""
        lines = list(access_lines(20_000, 1, START_US))

        assert len(set(lines)) == 20_000
        assert lines == list(access_lines(20_000, 1, START_US))
        assert {line[line.index(b"[") : line.index(b"]")] for line in lines[5_000:10_000]} == {
            time.strftime("[%d/%b/%Y:%H:%M:%S +0000", time.gmtime(START_US // 1_000_000 + 1)).encode()
        }


class TestStamp:
    def test_single_digit_day(self) -> None:
        """Syslog pads the day with a blank, Apache with a zero."""
        stamp = Stamp()
        stamp.set(1_746_162_245_999_999)

        assert (stamp.syslog, stamp.apache) == ("May  2 05:04:05", "02/May/2025:05:04:05 +0000")
        assert stamp.iso == "2025-05-02T05:04:05Z"


class TestAddresses:
    def test_public_and_fresh(self) -> None:
        """Addresses do not repeat and none is private, reserved or for documentation."""
        from ipaddress import ip_address
        from random import Random

        addresses = Addresses(Random(1))
        drawn = [addresses.ipv4() for _ in range(50_000)]

        assert len(set(drawn)) == 50_000
        assert all(ip_address(address).is_global for address in drawn)
