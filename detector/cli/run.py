"""`detector run`: the service."""

from __future__ import annotations

from detector.cli.options import ConfigFile


def run(config: ConfigFile = None) -> None:
    """Read logs from Kafka and write alerts until SIGTERM or Ctrl-C."""
    from detector import logs, service
    from detector.config_sources import load_config
    from detector.kafka.client import secrets

    settings = load_config(config)
    logs.configure(settings.log, secrets=secrets(settings.kafka.security))
    service.run(settings)
