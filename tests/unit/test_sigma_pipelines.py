"""pySigma's processing pipelines: what each transformation does to matching, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from sigma.processing.transformations import transformations
from typer.testing import CliRunner

from detector.cli.rules import app
from detector.config import Config, Limits
from detector.config import Rules as RulesSetting
from detector.errors import RuleError
from detector.events import LogSource
from detector.reload import load as load_configured
from detector.sigma.loading import compile_rules
from detector.sigma.nodes import leaves
from detector.sigma.pipelines import _REFUSED, Pipelines
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource
from tests.sigma import LIMITS, matches, rule_text
from tests.sigmahq import sources as sigmahq

HASH = "5F1CBC3D99558307BC1250D084FA968521482025"


def pipeline(*items: Mapping[str, Any], **keys: Any) -> RuleSource:
    return RuleSource("p.yml", orjson.dumps({"transformations": items, **keys}))


def compiled(*texts: bytes, pipelines: tuple[RuleSource, ...]) -> RuleSet:
    sources = tuple(RuleSource(f"{number}.yml", text) for number, text in enumerate(texts))
    return compile_rules(sources, limits=LIMITS, pipelines=pipelines)


def changed(detection: Mapping[str, Any], *pipelines: RuleSource, **keys: Any) -> Rule:
    """A rule after the pipelines."""
    rules = compiled(rule_text(detection, **keys), pipelines=pipelines)
    assert rules.refused == ()
    return rules.rules[0]


def refusal(detection: Mapping[str, Any], *pipelines: RuleSource, **keys: Any) -> RuleError:
    rules = compiled(rule_text(detection, **keys), pipelines=pipelines)
    assert rules.rules == ()
    return rules.refused[0]


CASES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # type, its arguments, selection, an event that matches, one that does not
    ("field_name_mapping", {"mapping": {"f": "g"}}, {"f": "a"}, {"g": "a"}, {"f": "a"}),
    ("field_name_mapping", {"mapping": {"f": ["g", "h"]}}, {"f": "a"}, {"h": "a"}, {"f": "a"}),
    ("field_name_mapping", {"mapping": {"f": ["g", "h"]}}, {"f|neq": "a"}, {}, {"g": "a"}),
    ("field_name_mapping", {"mapping": {"f": ["g", "h"]}}, {"f|exists": False}, {}, {"h": "a"}),
    ("field_name_mapping", {"mapping": {"f": ["g", "h"]}}, {"f|exists": True}, {"h": "a"}, {}),
    ("field_name_mapping", {"mapping": {"f": ["g", "h"]}}, {"f": None}, {}, {"g": "a"}),
    ("field_name_mapping", {"mapping": {"f": "g"}}, {"x|fieldref": "f"}, {"x": "a", "g": "a"}, {"x": "a", "f": "a"}),
    ("field_name_prefix_mapping", {"mapping": {"win.": "w_"}}, {"win.f": "a"}, {"w_f": "a"}, {"win": {"f": "a"}}),
    ("field_name_prefix", {"prefix": "p."}, {"f": "a"}, {"p": {"f": "a"}}, {"f": "a"}),
    ("field_name_suffix", {"suffix": ".keyword"}, {"f": "a"}, {"f.keyword": "a"}, {"f": "a"}),
    ("drop_detection_item", {"field_name_conditions": [{"type": "include_fields", "fields": ["g"]}]},
     {"f": "a", "g": "b"}, {"f": "a"}, {"g": "b"}),
    ("hashes_fields", {"valid_hash_algos": ["SHA1", "MD5"], "field_prefix": "File"},
     {"Hashes|contains": f"SHA1={HASH}"}, {"FileSHA1": HASH}, {"Hashes": f"SHA1={HASH}"}),
    ("extract_fields", {"regex": "(?P<kind>[a-z]+):(?P<n>[0-9]+)", "field_prefix": "reg"},
     {"f": "dword:7"}, {"reg": {"kind": "DWORD", "n": 7}}, {"f": "dword:7"}),
    ("wildcard_placeholders", {}, {"f|expand": "a%x%"}, {"f": "abc"}, {"f": "b"}),
    ("add_condition", {"conditions": {"host": "web"}}, {"f": "a"}, {"f": "a", "host": "WEB"}, {"f": "a"}),
    ("add_condition", {"conditions": {"host": "web"}, "negated": True}, {"f": "a"}, {"f": "a"},
     {"f": "a", "host": "web"}),
    ("add_condition", {"conditions": {"kind": "$category"}, "template": True}, {"f": "a"}, {"f": "a", "kind": "test"},
     {"f": "a", "kind": "x"}),
    ("replace_string", {"regex": "^C:", "replacement": "D:"}, {"f": r"C:\x"}, {"f": r"D:\x"}, {"f": r"C:\x"}),
    ("map_string", {"mapping": {"a": ["b", "c"]}}, {"f": "a"}, {"f": "c"}, {"f": "a"}),
    ("set_value", {"value": 5}, {"f": "a"}, {"f": "5"}, {"f": "a"}),
    ("convert_type", {"target_type": "str"}, {"f": 5}, {"f": 5}, {"f": 6}),
    ("case", {"method": "upper"}, {"f|cased": "a"}, {"f": "A"}, {"f": "a"}),
    ("nest", {"items": [{"type": "field_name_prefix", "prefix": "p_"}, {"type": "field_name_suffix", "suffix": "_s"}]},
     {"f": "a"}, {"p_f_s": "a"}, {"f": "a"}),
]  # fmt: skip

NEUTRAL: dict[str, dict[str, Any]] = {
    "add_field": {"field": "g"},
    "remove_field": {"field": "g"},
    "set_field": {"fields": ["g"]},
    "set_state": {"key": "k", "val": "v"},
    "set_custom_attribute": {"attribute": "a", "value": "v"},
}
"""Those that change no matching by themselves."""

TESTED_BELOW = {
    *("change_logsource", "value_placeholders", "rule_failure", "detection_item_failure"),
    "strict_field_mapping_failure",
}


class TestTransformations:
    """What each does to a rule."""

    def test_all(self) -> None:
        """Every transformation of pySigma is tested here, or refused."""
        assert {case[0] for case in CASES} | set(NEUTRAL) | TESTED_BELOW | set(_REFUSED) == set(transformations)

    @pytest.mark.parametrize(("kind", "arguments", "selection", "match", "other"), CASES)
    def test_matching(
        self,
        kind: str,
        arguments: dict[str, Any],
        selection: dict[str, Any],
        match: dict[str, Any],
        other: dict[str, Any],
    ) -> None:
        """The rule matches what it should after the change, by every way of asking, and not what it did before."""
        tested = changed({"s": selection}, pipeline({"type": kind, **arguments}))

        assert matches(tested, match)
        assert not matches(tested, other)

    @pytest.mark.parametrize("kind", NEUTRAL)
    def test_neutral(self, kind: str) -> None:
        """They are taken, and nothing else matches than before."""
        tested = changed({"s": {"f": "a"}}, pipeline({"type": kind, **NEUTRAL[kind]}), fields=["f"])

        assert matches(tested, {"f": "a"})
        assert tested.fields == {"add_field": ("f", "g"), "set_field": ("g",)}.get(kind, ("f",))

    def test_change_logsource(self) -> None:
        """The rule runs on another log source."""
        change = {"type": "change_logsource", "category": "Other", "product": "x"}

        assert changed({"s": {"f": "a"}}, pipeline(change)).logsource == LogSource("other", "x")

    def test_value_placeholders(self) -> None:
        """The pipeline's variables fill in what the values file does not, in nested pipelines, too."""
        fill = {"type": "value_placeholders", "include": ["admins"]}
        nested = {"type": "nest", "items": [fill]}
        keys = {"vars": {"admins": ["root", "adm*"]}}

        for item in (fill, nested):
            tested = changed({"s": {"f|expand": "%admins%"}}, pipeline(item, **keys))
            assert matches(tested, {"f": "ADMIN"})
            assert not matches(tested, {"f": "eve"})
        unfilled = refusal({"s": {"f|expand": "%other%"}}, pipeline(fill, **keys))
        assert (unfilled.code, unfilled.where) == ("S006", "0.yml:1")

    @pytest.mark.parametrize(
        ("item", "reason"),
        [
            ({"type": "rule_failure", "message": "not for us"}, "not for us"),
            ({"type": "detection_item_failure", "message": "no such field"}, "no such field"),
            ({"type": "strict_field_mapping_failure"}, "f"),
        ],
    )
    def test_failures(self, item: dict[str, Any], reason: str) -> None:
        """A rule that a pipeline refuses, with what its author says, file and line of both."""
        error = refusal({"s": {"f": "a"}}, pipeline({"type": "set_state", "key": "a", "val": "b"}, item))

        assert error.message.startswith(f"refused by the pipeline in p.yml:1 (transformation 2, {item['type']}): ")
        assert reason in error.message
        assert (error.code, error.where) == ("S009", "0.yml:1")

    @pytest.mark.parametrize("values", [1, 400])
    def test_explosion(self, values: int) -> None:
        """Fields that are mapped to several, again and again, or many values in many fields: refused, at once."""
        double = {"type": "field_name_mapping", "mapping": {"f": ["f", "f"]}}
        many = {"type": "field_name_mapping", "mapping": {"f": [f"f{number}" for number in range(200)]}}
        items = [double] * 40 if values == 1 else [many]

        error = refusal({"s": {"f": [f"v{number}" for number in range(values)]}}, pipeline(*items))

        assert error.message.endswith("expands the rule to more than 50000 values")

    def test_cannot(self) -> None:
        """What cannot be done to a rule costs that rule, and says which transformation."""
        item = {"type": "convert_type", "target_type": "num"}

        error = refusal({"s": {"f": "a"}}, pipeline(item))

        assert error.message.startswith("cannot be changed by the pipeline in p.yml:1 (transformation 1, convert_type)")


class TestConditions:
    """Where a transformation applies."""

    @pytest.mark.parametrize(
        ("conditions", "applies"),
        [
            ({"rule_conditions": [{"type": "logsource", "category": "test"}]}, True),
            ({"rule_conditions": [{"type": "logsource", "product": "windows"}]}, False),
            ({"rule_conditions": [{"type": "logsource", "product": "windows"}], "rule_cond_not": True}, True),
            ({"rule_conditions": [{"type": "contains_field", "field": "f"}]}, True),
            ({"rule_conditions": [{"type": "contains_detection_item", "field": "f", "value": "b"}]}, False),
            ({"rule_conditions": [{"type": "tag", "tag": "attack.t1059"}]}, True),
            ({"rule_conditions": [{"type": "rule_attribute", "attribute": "level", "value": "high"}]}, True),
            ({"rule_conditions": [{"type": "is_sigma_rule"}]}, True),
            ({"rule_conditions": [{"type": "is_sigma_correlation_rule"}]}, False),
            ({"rule_conditions": [{"type": "processing_state", "key": "k", "val": "v"}]}, True),
            ({"rule_conditions": [{"type": "processing_item_applied", "processing_item_id": "first"}]}, True),
            (
                {
                    "rule_conditions": {"a": {"type": "is_sigma_rule"}, "b": {"type": "tag", "tag": "attack.t1"}},
                    "rule_cond_expr": "a and not b",
                },
                True,
            ),
            ({"detection_item_conditions": [{"type": "match_string", "cond": "any", "pattern": "^a"}]}, True),
            ({"detection_item_conditions": [{"type": "match_string", "cond": "any", "pattern": "^b"}]}, False),
            ({"detection_item_conditions": [{"type": "match_value", "cond": "all", "value": "a"}]}, True),
            ({"detection_item_conditions": [{"type": "contains_wildcard", "cond": "any"}]}, False),
            ({"detection_item_conditions": [{"type": "is_null", "cond": "any"}]}, False),
            ({"field_name_conditions": [{"type": "include_fields", "fields": ["f"]}]}, True),
            ({"field_name_conditions": [{"type": "include_fields", "fields": ["^F|f$"], "mode": "re"}]}, True),
            ({"field_name_conditions": [{"type": "exclude_fields", "fields": ["f"]}]}, False),
        ],
    )
    def test_condition(self, conditions: dict[str, Any], applies: bool) -> None:
        """Those of pySigma hold here."""
        first = {"id": "first", "type": "set_state", "key": "k", "val": "v"}
        item = {"type": "field_name_mapping", "mapping": {"f": "g"}, **conditions}

        tested = changed({"s": {"f": "a"}}, pipeline(first, item), tags=["attack.t1059"], level="high")

        assert [leaf.field for leaf in leaves(tested.condition)] == ["g" if applies else "f"]

    def test_order(self) -> None:
        """Of several pipelines the one of lower priority is first; of the same, the one named first."""

        def rename(old: str, new: str, priority: int) -> RuleSource:
            return pipeline({"type": "field_name_mapping", "mapping": {old: new}}, priority=priority)

        tested = changed({"s": {"f": "a"}}, rename("h", "i", 20), rename("g", "h", 10), rename("f", "g", 10))
        in_turn = changed({"s": {"f": "a"}}, rename("h", "i", 20), rename("f", "g", 10), rename("g", "h", 10))

        assert [leaf.field for each in (tested, in_turn) for leaf in leaves(each.condition)] == ["g", "i"]


class TestDropped:
    """What a pipeline drops asks for nothing."""

    DROP = pipeline(
        {"type": "drop_detection_item", "field_name_conditions": [{"type": "include_fields", "fields": ["g"]}]}
    )

    @pytest.mark.parametrize("condition", ["s and t", "s or t", "s and not t", "all of them", "s and (t or not t)"])
    def test_selection(self, condition: str) -> None:
        """A selection of which nothing is left is left out, wherever it stands."""
        tested = changed({"s": {"f": "a"}, "t": {"g": "b"}, "condition": condition}, self.DROP)

        assert matches(tested, {"f": "a"})
        assert not matches(tested, {"f": "b", "g": "b"})

    def test_all(self) -> None:
        """A rule of which nothing is left is refused."""
        error = refusal({"s": [{"g": "a"}, {"g": "b"}]}, self.DROP)

        assert error.message == "the pipelines leave nothing of the condition"
        assert error.code == "S009"


class TestFilters:
    """Filters are changed as the rules that they are for."""

    def a_filter(self, selection: dict[str, Any], category: str = "test") -> bytes:
        content = {"rules": "any", "selection": selection, "condition": "not selection"}
        return orjson.dumps({"title": "Known", "logsource": {"category": category}, "filter": content})

    def test_changed(self) -> None:
        """By the log source of the rule's document, and with the transformations that apply to the rule."""
        change = {"type": "change_logsource", "category": "other"}
        rename = {
            "type": "field_name_mapping",
            "mapping": {"u": "user"},
            "rule_conditions": [{"type": "tag", "tag": "attack.t1059"}],
        }
        fill = {"type": "value_placeholders"}
        text = rule_text({"s": {"f": "a"}}, tags=["attack.t1059"])
        known = self.a_filter({"u|expand": "%admins%"})

        rules = compiled(text, known, pipelines=(pipeline(rename, fill, change, vars={"admins": ["root"]}),))

        (tested,) = rules.rules
        assert rules.refused == ()
        assert tested.logsource == LogSource("other")
        assert matches(tested, {"f": "a", "user": "eve", "u": "root"})
        assert not matches(tested, {"f": "a", "user": "root"})

    def test_refused(self) -> None:
        """A rule runs without a filter that cannot be changed, and that is said."""
        refuse = {
            "type": "detection_item_failure",
            "message": "no users here",
            "field_name_conditions": [{"type": "include_fields", "fields": ["u"]}],
        }

        rules = compiled(rule_text({"s": {"f": "a"}}), self.a_filter({"u": "x"}), pipelines=(pipeline(refuse),))

        assert matches(rules.rules[0], {"f": "a", "u": "x"})
        assert rules.refused[0].message.startswith("runs without the filter 'Known': refused by the pipeline in p.yml")


class TestSigmaHQ:
    """Rules that others wrote."""

    def test_as_they_are(self) -> None:
        """A pipeline that changes nothing leaves every rule as it is."""
        some = sigmahq()[::10]
        neutral = pipeline({"type": "set_state", "key": "k", "val": "v"})

        without = compile_rules(some, limits=LIMITS)
        changed = compile_rules(some, limits=LIMITS, pipelines=(neutral,))

        assert len(without.rules) > 300
        assert changed.rules == without.rules
        assert list(map(str, changed.refused)) == list(map(str, without.refused))
        assert changed.sha != without.sha


class TestErrors:
    """A pipeline that cannot be used is an error of its own, before any rule is loaded."""

    @pytest.mark.parametrize(
        ("text", "line", "message"),
        [
            ("- a", 1, "a pipeline is a mapping"),
            ("a: [", 2, "not YAML"),
            ("transformation: []", 1, "did you mean `transformations`?"),
            ("name: x\npostprocessing:\n- type: embed", 3, "`postprocessing` changes queries"),
            ("name: x\nfinalizers:\n- type: concat", 3, "`finalizers` changes queries"),
            ("priority: high", 1, "`priority` must be a whole number"),
            ("vars: [a]", 1, "`vars` must map"),
            ("transformations: {a: b}", 1, "must be a list"),
            ("transformations:\n- type: set_state\n  key: a\n  val: b\n- field", 5, "transformation 2: it must be"),
            ("transformations:\n- id: a\n  type: field_nam_mapping", 3, "did you mean `field_name_mapping`?"),
            ("transformations:\n- type: field_name_mapping\n  maping: {a: b}", 2, "`mapping` must map"),
            ("transformations:\n- type: field_name_mapping\n  mapping:\n    a: {b: c}", 4, "`a` must be mapped to"),
            ("transformations:\n- type: field_name_prefix\n  prefx: a", 2, "(field_name_prefix): Error in"),
            ("transformations:\n- type: case\n  rule_conditions:\n  - type: logsorce", 2, "logsorce"),
            ("transformations:\n- type: add_condition\n  conditions:\n    f|foo: a", 4, "`foo` is no modifier"),
            ("transformations:\n- type: nest\n  items:\n  - type: case\n  - type: http_placeholders", 5, "no meaning"),
            ("transformations:\n- type: nest", 2, "`items` must be"),
            *(
                (f"transformations:\n- id: a\n  type: {kind}", 3, f"`{kind}` has no meaning here: {why}")
                for kind, why in _REFUSED.items()
            ),
        ],
    )
    def test_place(self, text: str, line: int, message: str) -> None:
        """File and line, which transformation, and what to do."""
        with pytest.raises(RuleError) as raised:
            Pipelines([RuleSource("p.yml", text.encode())], LIMITS)

        assert message in raised.value.message
        assert raised.value.where == f"p.yml:{line}"

    def test_files(self) -> None:
        """Too large, or no text."""
        for text, message in ((b"#" * 2000, "max_rule_file_bytes"), (b"\xff", "UTF-8")):
            with pytest.raises(RuleError, match=message):
                Pipelines([RuleSource("p.yml", text)], Limits(max_rule_file_bytes=1024))


class TestSettings:
    """`rules.pipelines`."""

    PIPELINE = "transformations:\n- type: field_name_mapping\n  mapping: {f: g}\n"

    def config(self, folder: Path, text: str = PIPELINE) -> Config:
        rules = folder / "rules"
        rules.mkdir(exist_ok=True)
        (rules / "a.yml").write_bytes(rule_text({"s": {"f": "a"}}))
        (folder / "p.yml").write_text(text)
        setting = RulesSetting(builtin=False, paths=(rules,), pipelines=(folder / "p.yml",))
        return Config(rules=setting)

    def test_loaded(self, tmp_path: Path) -> None:
        """They are part of what names the set, and travel to the workers with it."""
        spec, rules = load_configured(self.config(tmp_path))
        other, other_rules = load_configured(self.config(tmp_path, self.PIPELINE.replace("f: g", "f: h")))

        assert [leaf.field for leaf in leaves(rules.rules[0].condition)] == ["g"]
        assert (spec.sha != other.sha, rules.sha != other_rules.sha) == (True, True)
        assert spec.pipelines[0].text == self.PIPELINE.encode()

    def test_wrong(self, tmp_path: Path) -> None:
        """One that cannot be used: nothing is loaded."""
        with pytest.raises(RuleError, match=r"p\.yml:1: `a` is no key"):
            load_configured(self.config(tmp_path, "a: b"))

    def test_commands(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The commands show rules as the pipelines make them."""
        self.config(tmp_path, self.PIPELINE + "- type: change_logsource\n  product: shop\n")
        monkeypatch.setenv("DETECTOR_RULES__PIPELINES", f'["{tmp_path / "p.yml"}"]')
        run = CliRunner().invoke

        listed = run(app, ["list", str(tmp_path / "rules")])
        explained = run(
            app, ["explain", str(tmp_path / "rules" / "a.yml"), "--logsource", "-/shop/-"], input='{"g":"a"}'
        )
        checked = run(app, ["check", str(tmp_path / "rules")])

        assert "-/shop/-" in listed.output
        assert "s, g: a" in explained.output
        assert explained.exit_code == 0
        assert "0 error" in checked.output


class TestChangedFile:
    """A rule set of which one file changed, with pipelines."""

    RENAME = pipeline({"type": "field_name_mapping", "mapping": {"f": "g"}})
    SAME, BEFORE, AFTER = (rule_text({"s": {"f": text}}, title=text) for text in ("same", "before", "after"))

    def test_the_others_stay(self) -> None:
        """Only what changed is made anew, as the pipeline has it."""
        first = compiled(self.SAME, self.BEFORE, pipelines=(self.RENAME,))

        second = compiled(self.SAME, self.AFTER, pipelines=(self.RENAME,))

        assert second.rules[0].condition is first.rules[0].condition
        assert second.rules[1].condition is not first.rules[1].condition
        assert [matches(rule, {"g": "after"}) for rule in second.rules] == [False, True]

    def test_other_pipelines(self) -> None:
        """Another pipeline changes every rule, and so does none."""
        compiled(self.SAME, pipelines=(self.RENAME,))

        prefixed = compiled(self.SAME, pipelines=(pipeline({"type": "field_name_prefix", "prefix": "p."}),))
        plain = compiled(self.SAME, pipelines=())

        assert matches(prefixed.rules[0], {"p": {"f": "same"}})
        assert matches(plain.rules[0], {"f": "same"})

    def test_filters(self) -> None:
        """Rules that stay get the filters as they are now, changed as the rule is."""
        known = {"rules": "any", "selection": {"f": "same", "u": "x"}, "condition": "not selection"}
        a_filter = orjson.dumps({"title": "Known", "logsource": {"category": "test"}, "filter": known})
        compiled(self.SAME, self.BEFORE, pipelines=(self.RENAME,))

        rules = compiled(self.SAME, self.AFTER, a_filter, pipelines=(self.RENAME,))

        assert rules.refused == ()
        assert matches(rules.rules[0], {"g": "same", "u": "y"})
        assert not matches(rules.rules[0], {"g": "same", "u": "x"})
