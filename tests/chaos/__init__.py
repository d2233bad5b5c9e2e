"""Faults, and an oracle that judges what the service made of them: `python -m tests.chaos NAME --json`."""
