"""What `detector rules check` can find: codes that stay what they are, so that a build can rely on them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is, in falling order."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked for. title: what is wrong. advice: what to do where a finding says no more."""

    severity: Severity
    title: str
    advice: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

CHECKS: dict[str, Check] = {
    # The rule is refused: it does not run.
    "S001": Check(_E, "The file or document is no rule", "Mend the YAML; docs/writing-rules.md has an example."),
    "S002": Check(_E, "The log source cannot be used", "Name the `category`, `product` or `service` of the events."),
    "S003": Check(_E, "A key beside the detection has a wrong value", "Write it as the Sigma specification says."),
    "S004": Check(_E, "The condition cannot be read", "Join the names of selections by and, or, not, 1 of, all of."),
    "S005": Check(_E, "A selection cannot be meant so", "docs/writing-rules.md says what modifiers and values mean."),
    "S006": Check(_E, "A placeholder has no values", "Add them to the file that `rules.values_file` names."),
    "S007": Check(_E, "The id is also that of another rule", "Give a copy an id of its own: alerts are known by it."),
    "S008": Check(_E, "A kind of document that does not run here", "Move it to a folder that is not loaded."),
    "S009": Check(_E, "A pipeline refuses the rule, or cannot change it", "Correct the pipeline, or the rule."),
    "S010": Check(_E, "A correlation cannot be meant so", "docs/correlations.md says what each kind takes."),
    "S011": Check(_E, "An exception or suppression cannot be meant so", "docs/incidents.md has an example of each."),
    # What the rule says of itself.
    "S101": Check(_W, "No `id`", "Add a UUID of your own: without it, alerts get another id when the file is moved."),
    "S102": Check(_W, "No `level`", "Add one: without it the rule is `medium`."),
    "S103": Check(_I, "No `description`", "Say what somebody who gets the alert should know."),
    "S104": Check(_I, "No `date`", "Say when the rule was written: `date: 2024-05-17`."),
    "S105": Check(_W, "A tag is in none of the specification's forms", "Write it as docs/writing-rules.md says."),
    "S106": Check(_W, "Two rules have the same title", "Say in the title what tells them apart."),
    "S107": Check(_W, "A key is nearly one that has a meaning", "Rename it: as it stands, it has none."),
    "S108": Check(_I, "Neighbours have rule tests, this rule has none", "Write `RULE.test.yml` beside it."),
    # Fields and values.
    "S201": Check(_W, "Events of the log source have no such field", "`detector parse` shows the fields of a record."),
    "S202": Check(_W, "`null` in a list of values", "Give it a selection of its own, and join the two by `or`."),
    "S203": Check(_W, "`all` with a single value", "Remove `all`, or add the values that must be there, too."),
    "S204": Check(_W, "A regular expression looks like a text with wildcards", "Write `.*` for text, or drop `re`."),
    "S205": Check(_I, "`?` in a URL stands for any one character", r"Write `\?` for a question mark."),
    "S206": Check(_I, "A text of one character is looked for", "It is in nearly every event: ask for more of it."),
    "S207": Check(_I, "No text is certain in a regular expression", "Ask for some text beside it."),
    # Selections and conditions.
    "S301": Check(_E, "It can never match", "Remove one of the two, or ask for one of them by `1 of`."),
    "S302": Check(_W, "It matches only fields of several values", "Drop one of the two, unless the field is a list."),
    "S303": Check(_W, "A selection is not in the condition", "Add it to the condition, or remove it."),
    "S304": Check(_W, "A filter keeps what it names", "Write `condition: not selection` to exclude what it selects."),
    "S305": Check(_W, "A filter is for no rule", "Correct `rules` and the log source, or load its rules, too."),
    "S306": Check(_W, "The rule runs in full on each event", "Add a text that every match has, such as a name."),
    # Exceptions and suppressions.
    "S501": Check(_W, "An exception has expired", "Remove it, or extend `until` and say why in `reason`."),
    "S502": Check(_W, "An exception or suppression is for no rule", "Correct `rules`, or load its rules, too."),
    # Where it runs.
    "S401": Check(_W, "No configured format has the log source", "`detector parsers list` shows what there is."),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to mend, or to know. line: 0 for the file as a whole. rule: its title, where it has one."""

    path: str
    line: int
    code: str
    message: str
    fix: str = ""
    rule: str = ""

    @property
    def severity(self) -> Severity:
        """That of its check."""
        return CHECKS[self.code].severity

    @property
    def advice(self) -> str:
        """What to do about it; empty where the message, that of a refusal, says it."""
        return self.fix or ("" if self.code < "S1" else CHECKS[self.code].advice)
