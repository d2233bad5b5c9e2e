"""The judge: what the broker acknowledged against what came out. It knows nothing of how the product works.

Each acknowledged record that must alert is an obligation, to be met by an alert of each of the rules that it must
fire; each acknowledged record that no parser takes is one, to be met by a dead letter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tests.harness.load import Acknowledged, Journal
from tests.harness.watch import Seen


@dataclass(frozen=True, slots=True)
class Verdict:
    """What went wrong; all but `obligations` should be 0 (`raw_duplicates` only under exactly_once).

    obligations: met or not.
    lost: obligations that were not met.
    doubled: pairs of record and rule with alerts of more than one id.
    invented: alerts and dead letters that no record calls for, that state another record's coordinates, or whose id
        another alert has too.
    raw_duplicates: alerts beyond the first of their id, and dead letters beyond the first of their record.
    """

    obligations: int
    lost: int
    doubled: int
    invented: int
    raw_duplicates: int

    def faults(self, *, exactly_once: bool) -> dict[str, int]:
        """What must not have been, by name."""
        wrong = {name: count for name, count in asdict(self).items() if name != "obligations" and count}
        if not exactly_once:
            wrong.pop("raw_duplicates", None)
        return wrong


def judge(journal: Journal, seen: Iterable[Seen], rules: frozenset[str]) -> Verdict:
    """Judge everything that subscribers saw.

    journal: what was sent and what was acknowledged. A record that was sent only may be in the topic or not: an alert
        about it is neither called for nor invented.
    rules: keys of the rules that each alerting record must fire, and that no other record does.
    """
    acked = {record.token: record for record in journal.acked}
    identities: dict[tuple[str, str], set[str]] = defaultdict(set)
    owners: dict[str, tuple[str, str]] = {}
    dead: set[str] = set()
    invented = raw_duplicates = 0
    for one in seen:
        if one.token is None or not _called_for(one, acked.get(one.token), journal, rules):
            invented += 1
        elif one.dead_letter:
            raw_duplicates += one.token in dead
            dead.add(one.token)
        else:
            about = (one.token, one.rule)
            raw_duplicates += one.identity in identities[about]
            identities[about].add(one.identity)
            invented += owners.setdefault(one.identity, about) != about
    lost = sum(
        (record.token not in dead)
        if record.kind == "dead_letter"
        else sum(not identities.get((record.token, rule)) for rule in rules)
        for record in acked.values()
    )
    obligations = sum(1 if record.kind == "dead_letter" else len(rules) for record in acked.values())
    doubled = sum(len(ids) > 1 for ids in identities.values())
    return Verdict(obligations, lost, doubled, invented, raw_duplicates)


def _called_for(one: Seen, record: Acknowledged | None, journal: Journal, rules: frozenset[str]) -> bool:
    if record is None:
        return one.token in journal.sent and (one.dead_letter or one.rule in rules)
    if (one.partition, one.offset) != (record.partition, record.offset):
        return False
    if one.dead_letter:
        return record.kind == "dead_letter"
    return record.kind == "alert" and one.rule in rules
