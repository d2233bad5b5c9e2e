"""What is new, gone or changed between two periods."""

from __future__ import annotations

import pyarrow as pa
import pytest

from detector.analytics.alerts import SCHEMA
from detector.analytics.tables import tables
from detector.reports.compare import compared, differ
from detector.reports.run import Period
from detector.reports.write import describe_changes
from tests.analytics import Row, totals_of


def made(rows: list[Row]) -> dict[str, pa.Table]:
    return tables(totals_of(rows), SCHEMA.empty_table())


class TestCompared:
    def test_changes(self) -> None:
        """New, gone and grown subjects are named with their counts; those that are as before are not."""
        old = [{"source.ip": "192.0.2.1"}] * 20 + [{"source.ip": "192.0.2.2"}] * 50
        new = [{"source.ip": "192.0.2.3"}] * 20 + [{"source.ip": "192.0.2.2"}] * 55 + [{"event.action": "a"}] * 9
        found = compared(made(old), made(new))
        rows = found["changes"].to_pylist()
        addresses = {row["subject"]: row["change"] for row in rows if row["table"] == "top_addresses"}

        assert addresses == {"192.0.2.1": "gone", "192.0.2.3": "new"}
        assert ("x | a", "new", 0, 9) in {
            (row["subject"], row["change"], row["before"], row["after"])
            for row in rows
            if row["table"] == "events_by_type"
        }
        assert "192.0.2.3" in describe_changes(found)

    def test_rates(self) -> None:
        """A service that fails more often is named with both rates."""
        old = [{"service.name": "web", "http.response.status_code": 200}] * 4
        found = compared(made(old), made([*old, {"service.name": "web", "http.response.status_code": 500}]))
        row = next(row for row in found["changed_rates"].to_pylist() if row["measure"] == "error_rate")

        assert (row["subject"], row["before"], row["after"]) == ("web", 0.0, pytest.approx(0.2))

    @pytest.mark.parametrize(
        ("before", "after", "expected"),
        [
            (0, 0, None),
            (0, 1, "new"),
            (1, 0, "gone"),
            (4, 8, None),
            (100, 150, None),
            (100, 300, "rose"),
            (300, 9, "fell"),
        ],
    )
    def test_differ(self, before: int, after: int, expected: str | None) -> None:
        """What may be chance is no change."""
        assert differ(before, after) == expected


class TestPeriod:
    def test_of(self) -> None:
        """A period is a lake with days, or a lake alone."""
        found = Period.of("a@b@2026-11-01..2026-11-07")

        assert (str(found.lake), str(found.first), str(found.last)) == ("a@b", "2026-11-01", "2026-11-07")
        assert Period.of("lake").files() is None
