"""Rule sets on disk, and rule sets that differ from the last one in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import Limits
from detector.sigma import cache
from detector.sigma.cache import MAX_FILES, prepared_rules
from detector.sigma.fields import EventView
from detector.sigma.loading import compile_rules
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource
from tests.sigma import event, rule_text

LIMITS = Limits()
BROKEN = RuleSource("broken.yml", b"title: x\ndetection: [")
EVENT = event({"f": "needle", "g": "abc"})


def source(number: int, text: str = "needle") -> RuleSource:
    rule = rule_text({"s": {"f|contains": text, "g|re": "a.c"}}, title=f"Rule {number}")
    return RuleSource(f"{number}.yml", rule)


SOURCES = (*map(source, range(3)), BROKEN)


def matching(rules: RuleSet) -> list[str]:
    return [rule.path for rule, _ in rules.matching([EVENT])[0]]


@pytest.fixture(autouse=True)
def _any_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_WORTH_S", 0.0)


class TestPreparedRules:
    """What is compiled, and what is not."""

    def test_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The second time, the same rules, errors and answers come from the disk."""
        first = prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)
        rule = first.rules[0]
        assert rule.matches((EventView(EVENT, EVENT.bindings[0]),))
        monkeypatch.setattr(cache, "compile_rules", None)

        again = prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)

        assert (again.rules, again.sha) == (first.rules, first.sha)
        assert list(map(str, again.refused)) == list(map(str, first.refused))
        assert matching(again) == ["0.yml", "1.yml", "2.yml"]
        assert again.rules[0].matches((EventView(EVENT, EVENT.bindings[0]),))

    def test_correlations(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Correlations are kept, too, and are there again where only another file changed."""
        counted = RuleSource(
            "c.yml",
            rule_text({"s": {"f": "x"}}, name="base")
            + b"\n---\ntitle: C\ncorrelation: {type: event_count, rules: [base], timespan: 1m, condition: {gte: 3}}",
        )
        first = prepared_rules((*SOURCES, counted), limits=LIMITS, folder=tmp_path)
        changed = compile_rules((source(0, "pin"), counted), limits=LIMITS)
        monkeypatch.setattr(cache, "compile_rules", None)

        again = prepared_rules((*SOURCES, counted), limits=LIMITS, folder=tmp_path)

        assert len(first.correlations) == 1
        assert first.correlations == changed.correlations == again.correlations

    @pytest.mark.parametrize("damage", [b"", b"x" * 10, None])
    def test_damaged(self, tmp_path: Path, damage: bytes | None) -> None:
        """A file that is empty, another or changed in a byte is made anew, without an error."""
        prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)
        (file,) = tmp_path.iterdir()
        good = file.read_bytes()
        file.write_bytes(damage if damage is not None else good[:-9] + b"?" + good[-8:])

        rules = prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)

        assert len(matching(rules)) == 3
        assert cache._read(file) is not None

    def test_foreign(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What other code made, or what others may write, is not read."""
        prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)
        (file,) = tmp_path.iterdir()
        file.chmod(0o666)
        assert cache._read(file) is None
        monkeypatch.setattr(cache, "_code_sha", lambda: "other")

        prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path)

        assert len(list(tmp_path.iterdir())) == 2

    def test_bounded(self, tmp_path: Path) -> None:
        """Only the latest are kept."""
        for number in range(MAX_FILES + 2):
            prepared_rules([source(number)], limits=LIMITS, folder=tmp_path)

        assert len(list(tmp_path.iterdir())) == MAX_FILES

    def test_no_place(self, tmp_path: Path) -> None:
        """Where nothing can be written, the rules run all the same."""
        (tmp_path / "file").write_bytes(b"")

        assert len(prepared_rules(SOURCES, limits=LIMITS, folder=tmp_path / "file" / "x").rules) == 3


class TestChangedFile:
    """The next rule set takes over what is the same."""

    def test_same_as_new(self) -> None:
        """It is as if there had been no other before it."""
        compile_rules(SOURCES, limits=LIMITS).engine.prepare()
        changed = (SOURCES[0], source(1, "other"), source(3), BROKEN)

        rules = compile_rules(changed, limits=LIMITS)
        after = [rule.path for rule in rules.rules], list(map(str, rules.refused)), rules.sha, matching(rules)
        compile_rules([], limits=LIMITS)
        fresh = compile_rules(changed, limits=LIMITS)

        assert after == (
            [rule.path for rule in fresh.rules], list(map(str, fresh.refused)), fresh.sha, ["0.yml", "3.yml"],
        )  # fmt: skip

    def test_same_objects(self) -> None:
        """Rules of unchanged files are not parsed again, and their programs not compiled again."""
        other = RuleSource("z.yml", rule_text({"s": {"f": "x"}}, logsource={"product": "z"}, title="Z"))
        before = compile_rules([source(0), other], limits=LIMITS)
        before.engine.prepare()

        after = compile_rules([source(0, "changed"), other], limits=LIMITS)
        logsource = after.rules[1].logsource

        assert before.rules[1] is after.rules[1]
        assert before.rules[0] is not after.rules[0]
        assert before.engine.program(logsource) is after.engine.program(logsource)

    def test_same_id(self) -> None:
        """A rule whose id is now also another's is refused, though its file has not changed."""
        identity = "929a690e-bef0-4204-a928-ef5e620d6fcc"
        second = RuleSource("b.yml", rule_text({"s": {"f": "x"}}, id=identity))
        assert len(compile_rules([second], limits=LIMITS).rules) == 1

        rules = compile_rules([RuleSource("a.yml", rule_text({"s": {"f": "y"}}, id=identity)), second], limits=LIMITS)

        assert [rule.path for rule in rules.rules] == ["a.yml"]
        assert [error.code for error in rules.refused] == ["S007"]
