"""What a user agent says that it is: name, version, system, device; by uap-core's expressions, in RE2."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ua_parser import Parser, load_lazy_builtins
from ua_parser.re2 import Resolver

from detector.enrichment.model import NOTHING, Answer
from detector.enrichment.names import USER_AGENT

MAX_CHARACTERS = 1_024
"""Of a user agent that are looked at."""
_FIELD = "user_agent.original"


class UserAgents:
    """Gives `user_agent.name`, `.version`, `.os.name`, `.os.version`, `.os.full` and `.device.name` (its family)."""

    __slots__ = ("_parser",)

    key: str | None = None

    def __init__(self) -> None:
        self._parser = Parser(Resolver(load_lazy_builtins()))

    def asked(self) -> Mapping[str, Mapping[str, type]]:
        """See `Provider.asked`."""
        return {_FIELD: dict.fromkeys(USER_AGENT, str)}

    def look_up(self, field: str, values: Sequence[str]) -> list[Answer]:
        """See `Provider.look_up`."""
        assert field == _FIELD
        return [self._answer(value) for value in values]

    def _answer(self, text: str) -> Answer:
        found = self._parser.parse(text[:MAX_CHARACTERS].encode("utf-8", "replace").decode())
        fields: dict[str, str] = {}
        if agent := found.user_agent:
            fields["user_agent.name"] = agent.family
            fields["user_agent.version"] = _joined(agent.major, agent.minor, agent.patch, agent.patch_minor)
        if system := found.os:
            version = _joined(system.major, system.minor, system.patch, system.patch_minor)
            fields["user_agent.os.name"] = system.family
            fields["user_agent.os.version"] = version
            fields["user_agent.os.full"] = f"{system.family} {version}" if version else ""
        if device := found.device:
            fields["user_agent.device.name"] = device.family
        fields = {name: value for name, value in fields.items() if value}
        return Answer(fields) if fields else NOTHING


def _joined(*parts: str | None) -> str:
    """The parts of a version up to the first that is not there."""
    known: list[str] = []
    for part in parts:
        if not part:
            break
        known.append(part)
    return ".".join(known)
