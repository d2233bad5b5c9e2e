"""Alerts and dead letters: what they look like on their topics, and on a terminal."""
