"""Anomalies: events compared with what was before, in order of their time (`docs/anomalies.md`)."""
