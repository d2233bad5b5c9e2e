"""The pairs of a record of Linux's audit system: `key=value`, in quotes or encoded in hexadecimal.

Format: `audit_log_untrustedstring` of the kernel: text that a user can choose stands in quotes where it is harmless,
else as hexadecimal digits without quotes. A group separator (0x1d) stands before what auditd has added.
"""

from __future__ import annotations

ABSENT = frozenset({"?", "(none)", "(null)", ""})
"""Values that stand for none."""

_NAMES = (
    "acct apparmor cgroup cmd comm cwd data denied_mask device dir exe file info key name new-chardev new-disk new-fs "
    "ocomm old-chardev old-disk old-fs operation path peer proctitle profile root_dir sw unit vm watch"
)
ENCODED = frozenset(_NAMES.split())
"""Fields whose text may be in hexadecimal."""
_ARGUMENTS = "EXECVE"
MAX_PAIRS = 4_096
_HEX = frozenset("0123456789abcdefABCDEF")


def audit_pairs(kind: str, text: str) -> dict[str, str]:
    """The fields of a record of that type; those inside `msg='…'` among them.

    A record of a command's arguments (EXECVE) also has `argv`: all of them, joined by spaces.
    """
    fields: dict[str, str] = {}
    _read(text.replace("\x1d", " "), fields, arguments=kind == _ARGUMENTS)
    if kind == _ARGUMENTS:
        _join_arguments(fields)
    return fields


def _read(text: str, fields: dict[str, str], *, arguments: bool) -> None:
    at = 0
    while (equals := text.find("=", at)) >= 0 and len(fields) < MAX_PAIRS:
        key = text[text.rfind(" ", at, equals) + 1 or at : equals]
        quote = text[equals + 1 : equals + 2]
        if quote in ('"', "'") and (closing := text.find(quote, equals + 2)) >= 0:
            value, at = text[equals + 2 : closing], closing + 1
            if quote == "'" and "=" in value:
                _read(value, fields, arguments=False)
                continue
        else:
            end = text.find(" ", equals)
            at = len(text) if end < 0 else end
            value = text[equals + 1 : at]
            if (arguments and key[:1] == "a" and key[1:2].isdigit() and "_len" not in key) or key in ENCODED:
                value = _decoded(value)
        if key and value not in ABSENT:
            fields.setdefault(key, value)


def _decoded(value: str) -> str:
    """Encoded text as it was; the NULs between the arguments of a `proctitle` are spaces."""
    if len(value) % 2 or not _HEX.issuperset(value):
        return value
    return bytes.fromhex(value).rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def _join_arguments(fields: dict[str, str]) -> None:
    """Long arguments come in parts: `a1[0]`, `a1[1]` …"""
    for key in [key for key in fields if key.endswith("]") and "[" in key]:
        name = key.partition("[")[0]
        fields[name] = fields.get(name, "") + fields[key]
    arguments = [fields[name] for number in range(len(fields)) if (name := f"a{number}") in fields]
    if arguments:
        fields["argv"] = " ".join(arguments)
