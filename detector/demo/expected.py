"""What alerts about a planted attack may be about: techniques of ATT&CK, as the tags of rules name them."""

from __future__ import annotations

from detector.demo.lines import Attack

_EXPLOIT = "attack.t1190"  # Exploit Public-Facing Application

ALLOWED: dict[Attack, frozenset[str]] = {
    # Brute Force, Valid Accounts, which it is after, and the tool that a web log names
    Attack.CREDENTIAL_STUFFING: frozenset(
        {
            *("attack.t1110", "attack.t1110.001", "attack.t1110.003", "attack.t1110.004", "attack.t1078"),
            *("attack.t1595.002", "attack.t1595.003"),
        }
    ),
    # Active Scanning, and what a scanner looks for: files with credentials
    Attack.WEB_SCANNER: frozenset(
        {"attack.t1595", "attack.t1595.001", "attack.t1595.002", "attack.t1595.003", "attack.t1552.001", _EXPLOIT}
    ),
    Attack.SQL_INJECTION: frozenset({_EXPLOIT}),
    Attack.PATH_TRAVERSAL: frozenset({_EXPLOIT, "attack.t1083", "attack.t1005"}),
    Attack.CROSS_SITE_SCRIPTING: frozenset({_EXPLOIT, "attack.t1189", "attack.t1059.007"}),
    Attack.COMMAND_INJECTION: frozenset({_EXPLOIT, "attack.t1059", "attack.t1059.004"}),
    Attack.AWS_ROOT_LOGIN: frozenset({"attack.t1078", "attack.t1078.004"}),
    # Impair Defenses
    Attack.TRAIL_STOPPED: frozenset({"attack.t1562", "attack.t1562.001", "attack.t1562.008"}),
}
