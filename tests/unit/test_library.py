"""`parse` and `detect` on lines and tables."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pyarrow as pa
import pytest

from detector import detect, parse
from detector.errors import ConfigError
from detector.library import view_schema

REFERENCE_MS = 1_795_507_200_000
ATTACK = (
    '203.0.113.7 - - [24/Nov/2026:08:00:00 +0000] "GET /a?id=1%20UNION%20SELECT%20p%20FROM%20users HTTP/1.1" '
    '200 12 "-" "x"'
)
LOGIN = '203.0.113.8 - - [24/Nov/2026:09:30:00 +0000] "POST /api/login HTTP/1.1" 401 - "-" "x"'
TRAIL = {
    "eventVersion": "1.08",
    "eventSource": "cloudtrail.amazonaws.com",
    "eventName": "StopLogging",
    "eventTime": "2026-11-24T08:00:00Z",
    "eventID": "1",
    "userIdentity": {"type": "IAMUser", "userName": "bob"},
}


class TestParse:
    def test_lines(self) -> None:
        """Lines, as texts or bytes, become rows with ECS names; what is no format stays as it was."""
        found = parse([ATTACK, b"\xff noise", "caf\udce9"], reference_ms=REFERENCE_MS)

        assert found["event.format"].to_pylist() == ["apache_combined", "raw", "raw"]
        assert found["source.ip"].to_pylist() == ["203.0.113.7", None, None]
        assert found["event.original"].to_pylist()[1:] == [b"\xff noise", b"caf\xe9"]

    def test_web_view(self) -> None:
        """A view has plain columns, of its own kind of events only."""
        found = parse([LOGIN, "noise"], view="web", reference_ms=REFERENCE_MS)
        (row,) = found.to_pylist()

        assert found.schema == view_schema("web")
        assert (row["ip_address"], row["status_code"], row["hour"]) == ("203.0.113.8", 401, 9)
        assert (row["is_login_endpoint"], row["is_api_endpoint"], row["is_server_error"]) == (True, True, False)

    def test_rows_are_objects(self) -> None:
        """Rows of a table without a column of records are JSON objects."""
        found = parse(pa.Table.from_pylist([TRAIL]), view="cloudtrail", reference_ms=REFERENCE_MS)

        assert found.select(["event_name", "user_identity"]).to_pylist() == [
            {"event_name": "StopLogging", "user_identity": "bob"}
        ]

    @pytest.mark.parametrize("view", [None, "web", "github", "cloudtrail"])
    def test_nothing(self, view: str | None) -> None:
        """No records are no rows, with all columns."""
        found = parse([], view=view)  # type: ignore[arg-type]

        assert found.num_rows == 0
        assert found.num_columns > 5

    def test_reference(self) -> None:
        """A time without a year is completed by the reference, or by the column of times."""
        line = "Nov 24 08:00:00 web sshd[7]: Connection closed by 203.0.113.7 port 22"
        stamp = pa.array([datetime(2024, 11, 25, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        table = pa.table({"text": [line], "@timestamp": stamp})

        assert parse([line], reference_ms=REFERENCE_MS)["@timestamp"][0].as_py().year == 2026
        assert parse(table, reference_ms=REFERENCE_MS)["@timestamp"][0].as_py().year == 2024

    def test_mistakes(self) -> None:
        """A wrong format, view or column, and one text for many, are errors that say what there is."""
        with pytest.raises(ConfigError, match="no view"):
            parse([LOGIN], view="moon")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="moon"):
            parse([LOGIN], format="moon")
        with pytest.raises(ConfigError, match="there are a"):
            parse(pa.table({"a": [LOGIN]}), column="b")
        with pytest.raises(ConfigError, match="list of lines"):
            parse(LOGIN)


class TestDetect:
    def test_alerts(self) -> None:
        """Each attack is an alert, with its rule and the whole alert beside it."""
        found = detect([LOGIN, ATTACK, orjson.dumps(TRAIL)], reference_ms=REFERENCE_MS)
        titles = found["rule_title"].to_pylist()

        assert titles[0] == "SQL Query in a Request"
        assert len(titles) >= 2
        assert orjson.loads(found["alert"][0].as_py())["original"]["text"] == ATTACK
        assert found["offset"][0].as_py() & 0xFFFFFFFF == 1

    def test_ids(self) -> None:
        """The same records give the same ids, the same line among others another."""
        first, same, other = (
            detect(lines, reference_ms=REFERENCE_MS) for lines in ([ATTACK], [ATTACK], [ATTACK, LOGIN])
        )

        assert first["id"].to_pylist() == same["id"].to_pylist()
        assert first["id"].to_pylist() != other["id"].to_pylist()

    def test_what_was_parsed(self) -> None:
        """Rows that `parse` gave can be evaluated."""
        assert detect(parse([ATTACK, LOGIN], reference_ms=REFERENCE_MS))["rule_title"].to_pylist() == [
            "SQL Query in a Request"
        ]
