"""Which pages are generated, from what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.docs import alert_schema, commands, configuration, formats, incident_schema, metrics, rule_checks

DOCS = Path(__file__).parents[2] / "docs"

PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "configuration.md": configuration.page,
    DOCS / "metrics.md": metrics.page,
    DOCS / "alert-schema.md": alert_schema.page,
    DOCS / "incident-schema.md": incident_schema.page,
    DOCS / "commands.md": commands.page,
    DOCS / "formats.md": formats.page,
    DOCS / "rule-checks.md": rule_checks.page,
}
