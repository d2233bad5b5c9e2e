"""Which rules run on an event."""

from __future__ import annotations

import pytest

from detector.events import LogSource
from detector.sigma.rule import runs_on
from detector.sigma.ruleset import RuleSet
from tests.sigma import event, load, rule_text

WEB = LogSource("webserver", "apache", None)


def named(**logsource: str) -> bytes:
    """A rule of a log source, with its parts as title."""
    return rule_text({"s": {"f": "a"}}, title="/".join(logsource.values()), logsource=logsource)


class TestRunsOn:
    """Each part that the rule names must be declared with the same value."""

    @pytest.mark.parametrize(
        ("rule", "of", "expected"),
        [
            (LogSource("webserver"), WEB, True),
            (LogSource("webserver", "apache"), WEB, True),
            (LogSource(product="apache"), WEB, True),
            (LogSource("webserver", "nginx"), WEB, False),
            (LogSource("webserver", "apache", "access"), WEB, False),
            (LogSource(service="sshd"), WEB, False),
            (LogSource("webserver"), LogSource(), False),
        ],
    )
    def test_parts(self, rule: LogSource, of: LogSource, expected: bool) -> None:
        """What the event does not declare is no wildcard."""
        assert runs_on(rule, of) is expected


class TestRuleSet:
    """Binding rules to events."""

    RULES = load(
        named(category="webserver"),
        named(product="apache"),
        named(product="linux"),
        named(category="x", product="linux"),
    )

    def titles(self, *logsources: LogSource) -> list[str]:
        return [rule.title for rule, _ in self.RULES.bound_to(event({"f": "a"}, logsources=logsources))]

    def test_one_source_must_declare_all(self) -> None:
        """Two log sources of an event do not join."""
        assert self.titles(WEB) == ["webserver", "apache"]
        assert self.titles(LogSource("x"), LogSource(product="linux")) == ["linux"]
        assert self.titles(LogSource("x", "linux")) == ["linux", "x/linux"]

    def test_none(self) -> None:
        """An event without a log source runs no rule."""
        assert self.titles() == []
        assert self.titles(LogSource()) == []

    def test_each_rule_once(self) -> None:
        """A rule that several log sources of an event satisfy is given once, and matches through any of them."""
        from detector.events import Binding, Event

        bindings = (Binding(WEB, {"f": ("raw:none",)}), Binding(LogSource("webserver"), {"f": ("raw:g",)}))
        subject = Event(0, 0, {"g": "a"}, {}, b"", "test", bindings)

        bound = {rule.title: views for rule, views in self.RULES.bound_to(subject)}

        assert [len(views) for views in bound.values()] == [2, 1]
        (first, _) = self.RULES.rules[:2]
        assert first.matches(bound["webserver"])
        assert first.explain(bound["webserver"]).logsource == LogSource("webserver")
        assert not self.RULES.rules[1].matches(bound["apache"])

    def test_explaining_what_does_not_match(self) -> None:
        """That is an error of the caller."""
        ((tested, views), *_) = self.RULES.bound_to(event({"f": "b"}, logsources=[WEB]))

        with pytest.raises(ValueError, match="does not match"):
            tested.explain(views)

    def test_remembering_is_bounded(self) -> None:
        """However many log sources come by, the plans that are kept are few."""
        rules = RuleSet((), (), "x")
        for number in range(5000):
            list(rules.bound_to(event(logsources=[LogSource(str(number))])))

        assert len(rules._plans) <= 4096
