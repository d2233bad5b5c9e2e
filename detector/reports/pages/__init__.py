"""The pages of the report, in the order of the navigation."""

from __future__ import annotations

from collections.abc import Sequence

from detector.analytics.tables import Tables
from detector.reports.layout import Page
from detector.reports.pages import compliance, errors, interactive, overview, performance, security, summary, traffic


def pages(tables: Tables) -> Sequence[Page]:
    """All but the index."""
    modules = (interactive, overview, traffic, performance, errors, security, summary, compliance)
    return [module.page(tables) for module in modules]
