"""Correlations: what no single event proves, counted, compared and ordered over events (`docs/correlations.md`)."""
