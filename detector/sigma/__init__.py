"""Sigma rules: loading them, and what they mean for one event."""
