"""Tables of assets and users, and user agents."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.enrichment.agents import UserAgents
from detector.enrichment.enricher import Enricher
from detector.enrichment.tables import Table
from detector.errors import EnrichmentError
from detector.events import Event

HOSTS = b"host,owner,criticality\nWeb-1,ann,high\ndb-1,,low\n"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.6099.71"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.1 Mobile/15E148 Safari/604.1"
)


class TestTable:
    def test_host(self) -> None:
        """The columns of a host's row become fields; an empty cell is none."""
        enricher = Enricher([Table(HOSTS, "hosts.csv")])
        events = [Event(0, 0, {}, {"host.name": name}, b"", "raw", ()) for name in ("web-1", "DB-1", "other")]

        enricher.add(events, [0, 0, 0], enricher.all)

        assert [event.ecs for event in events] == [
            {"host.name": "web-1", "host.asset.owner": "ann", "host.asset.criticality": "high"},
            {"host.name": "DB-1", "host.asset.criticality": "low"},
            {"host.name": "other"},
        ]

    def test_address(self) -> None:
        """Of addresses and networks the narrowest counts, on each side of a connection."""
        table = Table(b"address,zone\n10.0.0.0/8,office\n10.0.0.7,printer\n", "assets.csv")

        assert [dict(each.fields) for each in table.look_up("destination.ip", ["10.0.0.7", "10.0.0.8", "8.8.8.8"])] == [
            {"destination.asset.zone": "printer"},
            {"destination.asset.zone": "office"},
            {},
        ]

    def test_user(self) -> None:
        """A table of users gives fields of users."""
        (answer,) = Table(b"User, Team\nAnn, red\n", "users.csv").look_up("user.name", ["ann"])

        assert answer.fields == {"user.asset.team": "red"}

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "a.csv:1: the first heading is one of address, host, user"),
            (b"name,x\n", "a.csv:1: the first heading is one of"),
            (b"host\n", "a.csv:1: has no column besides its first"),
            (b"host,a b\n", "a.csv:1: a heading is a name of letters"),
            (b"host,x,x\n", "a.csv:1: a heading stands twice"),
            (b"host,x\nweb,1\n\nWEB,2\n", "a.csv:4: 'WEB' stands twice"),
            (b"host,x\nweb,1,2\n", "a.csv:2: has 3 columns, not 2"),
            (b"address,x\n10.0.0.300,1\n", "a.csv:2: '10.0.0.300'"),
            (b'host,x\n"web,1\n', "a.csv:2: is not CSV"),
            (b"host,x\n\xff,1\n", "a.csv:2: is not UTF-8"),
        ],
    )
    def test_wrong(self, content: bytes, message: str) -> None:
        """What is no such table is an error with file and line."""
        with pytest.raises(EnrichmentError) as raised:
            Table(content, "a.csv")

        assert str(raised.value).startswith(message)


class TestUserAgents:
    @pytest.fixture(scope="class")
    @classmethod
    def agents(cls) -> UserAgents:
        return UserAgents()

    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            (
                CHROME,
                {
                    "name": "Chrome", "version": "120.0.6099.71", "os.name": "Windows", "os.version": "10",
                    "os.full": "Windows 10", "device.name": "Other",
                },
            ),
            (
                IPHONE,
                {
                    "name": "Mobile Safari", "version": "17.1", "os.name": "iOS", "os.version": "17.1.2",
                    "os.full": "iOS 17.1.2", "device.name": "iPhone",
                },
            ),
            ("curl/8.5.0", {"name": "curl", "version": "8.5.0"}),
            ("nothing known", {}),
            ("", {}),
        ],
    )  # fmt: skip
    def test_known(self, agents: UserAgents, text: str, fields: dict[str, str]) -> None:
        """Name, version, system and device of a user agent; of one that is not known nothing."""
        found = {
            name.removeprefix("user_agent."): value
            for name, value in agents.look_up("user_agent.original", [text])[0].fields.items()
        }

        assert {name: value for name, value in found.items() if value != "Other"} == {
            name: value for name, value in fields.items() if value != "Other"
        }

    @settings(max_examples=50, deadline=None)
    @given(st.text())
    def test_any(self, agents: UserAgents, text: str) -> None:
        """Whatever a user agent is, surrogates too, it gives texts or nothing."""
        (answer,) = agents.look_up("user_agent.original", [text * 100 + "\ud800"])

        assert all(isinstance(value, str) and value for value in answer.fields.values())
