"""Rule files: what is read from them, what is refused where, filters, and hostile ones."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import pytest

from detector.config import Level, Limits
from detector.events import LogSource
from detector.sigma.loading import compile_rules
from detector.sigma.source import RuleSource
from tests.sigma import HEAD, event, load, matches, refusal, rule, rule_text

ID = "12345678-1234-4234-8234-123456789abc"
OTHER_ID = "22345678-1234-4234-8234-123456789abc"
FULL = f"""\
title: A rule
id: {ID}
name: a_rule
status: test
description: What it finds.
license: MIT
references: [https://example.com/a]
author: Somebody
date: 2024-01-02
modified: 2024/03/04
tags: [attack.initial-access, attack.credential_access, attack.t1190, attack.t1059.001, attack.s0002, cve.2024-1]
logsource:
  category: Web
  product: apache
  definition: needs a log
detection:
  sel:
    f: a
  condition: sel
fields: [f, g]
falsepositives: [Tests]
level: high
detector:
  entity: user.name
regression_tests_path: somewhere
"""


class TestRule:
    """What a rule holds."""

    def test_all_keys(self) -> None:
        """Every key of the specification arrives, and unknown ones do no harm."""
        (tested,) = load(FULL).rules

        assert (tested.key, tested.id, tested.name, tested.title) == (ID, ID, "a_rule", "A rule")
        assert (tested.level, tested.status, tested.author) == (Level.HIGH, "test", "Somebody")
        assert (tested.description, tested.references) == ("What it finds.", ("https://example.com/a",))
        assert (tested.date, tested.modified) == ("2024-01-02", "2024-03-04")
        assert (tested.techniques, tested.tactics) == (
            ("T1190", "T1059.001"),
            ("initial-access", "credential-access"),
        )
        assert tested.tags[-1] == "cve.2024-1"
        assert tested.logsource == LogSource("web", "apache", None)
        assert (tested.fields, tested.falsepositives, tested.entity) == (("f", "g"), ("Tests",), "user.name")
        assert (tested.path, tested.document) == ("0.yml", 1)

    def test_defaults(self) -> None:
        """Without level a rule is medium; without id its key is a hash of where it stands."""
        first, second = load(rule_text({"s": {"f": 1}}) + b"\n---\n" + rule_text({"s": {"f": 1}})).rules

        assert first.level is Level.MEDIUM
        assert first.id is None
        assert len({first.key, second.key}) == 2
        assert first.key == load(rule_text({"s": {"f": 1}})).rules[0].key

    def test_entity(self) -> None:
        """The value of the field that the rule declares comes with the match."""
        from detector.sigma.fields import EventView

        tested = rule({"s": {"f": "a"}}, detector={"entity": "u"})
        with_entity, without = (
            (EventView(event(raw), event().bindings[0]),) for raw in ({"f": "a", "u": 7}, {"f": "a"})
        )

        assert (tested.explain(with_entity).entity, tested.explain(without).entity) == ("7", None)

    def test_ecs_taxonomy(self) -> None:
        """Rules in ECS names load; other taxonomies have no meaning here."""
        assert rule({"s": {"dns.question.name": "x"}}, taxonomy="ecs")
        assert "taxonomy" in refusal({"s": {"f": 1}}, taxonomy="own")


class TestErrors:
    """Each refusal says where, and costs only its document."""

    @pytest.mark.parametrize(
        ("text", "where", "message"),
        [
            ("a: [", 2, "not YAML"),
            ("- a", 1, "mapping"),
            (HEAD + "detection:\n  s:\n    f: 1\n  condition: x", 7, "no selection"),
            (HEAD + "detection:\n  s:\n    f: 1\n    g|foo: 2\n  condition: s", 7, "no modifier"),
            (HEAD + "detection:\n  s:\n    f: 1\n    g|re:\n      - a\n      - (\n  condition: s", 9, ")"),
            (HEAD + "detection:\n  s:\n    - f: 1\n    - g|cidr: 1.2.3.4/8\n  condition: s", 7, "host bits"),
            (HEAD + "detection:\n  s:\n    f|expand:\n      - a\n      - '%x%'\n  condition: s", 8, "%x%"),
            (HEAD + "detection:\n  s:\n    f: 1\n    f: 2\n  condition: s", 7, "twice"),
            (HEAD + "detection:\n  s:\n    f: 1", 5, "condition"),
            (HEAD, 1, "detection"),
            ("title: x\ndetection:\n  s: {f: 1}\n  condition: s", 1, "log source"),
            ("title: x\nlogsource: {definition: y}\ndetection:\n  s: {f: 1}\n  condition: s", 2, "log source"),
            ("title: x\nlogsource: {product: [y]}\ndetection:\n  s: {f: 1}\n  condition: s", 2, "product"),
            ("id: x\n" + HEAD + "detection:\n  s: {f: 1}\n  condition: s", 1, "UUID"),
            ("id: 5\n" + HEAD + "detection:\n  s: {f: 1}\n  condition: s", 1, "UUID"),
            (HEAD + "level: severe\ndetection:\n  s: {f: 1}\n  condition: s", 4, "severe"),
            (HEAD + "status: 5\ndetection:\n  s: {f: 1}\n  condition: s", 4, "status"),
            (HEAD + "tags: [x]\ndetection:\n  s: {f: 1}\n  condition: s", 4, "tag"),
            (HEAD + "date: soon\ndetection:\n  s: {f: 1}\n  condition: s", 4, "date"),
            (HEAD + "detector: {entity: ''}\ndetection:\n  s: {f: 1}\n  condition: s", 4, "entity"),
            (HEAD + "detector: {entiti: a}\ndetection:\n  s: {f: 1}\n  condition: s", 4, "entity"),
            (HEAD + "detector: user\ndetection:\n  s: {f: 1}\n  condition: s", 4, "entity"),
            (HEAD + "related: [5]\ndetection:\n  s: {f: 1}\n  condition: s", 4, "related"),
            ("logsource: {category: a}\ndetection:\n  s: {f: 1}\n  condition: s", 1, "title"),
            (HEAD + "action: global", 4, "action"),
            ("title: x\ncorrelation: {type: event_count}", 2, "rules"),
            (HEAD + "detection: [1]", 4, "selections"),
            (HEAD + "detection:\n  s: {a.b.c.d.e.f.g.h.i.j.k.l.m.n: 1}\n  condition: s", 5, "dots"),
        ],
    )
    def test_place(self, text: str, where: int, message: str) -> None:
        """The message names the mistake, the place its line."""
        good = rule_text({"s": {"f": 1}}, id=OTHER_ID)

        rules = load(text, good)

        assert [each.id for each in rules.rules] == [OTHER_ID]
        (error,) = rules.refused
        assert message in error.message
        assert error.where == f"0.yml:{where}"

    def test_one_document_of_several(self) -> None:
        """The others of the file run."""
        rules = load(FULL + "---\ntitle: x\n---\n" + FULL.replace(ID, OTHER_ID))

        assert [each.document for each in rules.rules] == [1, 3]
        assert [each.where for each in rules.refused] == ["0.yml:27"]

    def test_duplicate_id(self) -> None:
        """The first rule of an id runs, the second is refused and told where the first is."""
        rules = load(FULL, FULL)

        assert [each.path for each in rules.rules] == ["0.yml"]
        assert "0.yml" in rules.refused[0].message
        assert rules.refused[0].where == "1.yml:2"

    def test_encoding(self) -> None:
        """Files are UTF-8, with or without a mark."""
        rules = load(b"\xef\xbb\xbf" + FULL.encode(), FULL.encode("utf-16"), b"title: x\n\xff")

        assert len(rules.rules) == 1
        assert [(each.where, "UTF-8" in each.message) for each in rules.refused] == [
            ("1.yml:1", True),
            ("2.yml:2", True),
        ]

    def test_size(self) -> None:
        """A file beyond the limit is refused unread."""
        rules = load(FULL + "#" * 2000, limits=Limits(max_rule_file_bytes=1024))

        assert "max_rule_file_bytes" in rules.refused[0].message


class TestHash:
    """A rule set is named by what it was made of."""

    def test_depends_on_every_part(self) -> None:
        """Paths, texts and values; nothing else."""
        sets = [
            load(FULL),
            load(FULL.replace("A rule", "B rule")),
            compile_rules((RuleSource("x.yml", FULL.encode()),), limits=Limits()),
            load(FULL, values={"a": ["b"]}),
            load(FULL, values={"a": ["b", "c"]}),
            load(FULL, FULL),
        ]

        assert len({each.sha for each in sets}) == len(sets)
        assert load(FULL).sha == load(FULL, limits=Limits(max_json_depth=10)).sha
        assert len(load(FULL).sha) == 16


def a_filter(rules: Any, selection: dict[str, Any], condition: str = "not selection", **logsource: str) -> bytes:
    import orjson

    return orjson.dumps(
        {
            "title": "Known",
            "logsource": logsource or {"category": "test"},
            "filter": {"rules": rules, "selection": selection, "condition": condition},
        }
    )


class TestFilters:
    """Filters are AND-ed to the rules that they are for."""

    @pytest.mark.parametrize("rules", ["any", [], ID, [ID], ["a_rule"], [OTHER_ID, ID]])
    def test_applies(self, rules: Any) -> None:
        """By id, by name, or to all."""
        loaded = load(rule_text({"s": {"f": "a"}}, id=ID, name="a_rule"), a_filter(rules, {"u": "admin"}))

        assert loaded.refused == ()
        assert matches(loaded.rules[0], {"f": "a", "u": "eve"})
        assert not matches(loaded.rules[0], {"f": "a", "u": "admin"})

    @pytest.mark.parametrize(
        ("rules", "logsource"),
        [
            ([OTHER_ID], {"category": "test"}),
            ("any", {"category": "other"}),
            ("any", {"category": "test", "product": "x"}),
        ],
    )
    def test_leaves_others(self, rules: Any, logsource: dict[str, str]) -> None:
        """Not to rules that it does not name, nor to those of a wider log source."""
        loaded = load(rule_text({"s": {"f": "a"}}, id=ID), a_filter(rules, {"u": "admin"}, **logsource))

        assert matches(loaded.rules[0], {"f": "a", "u": "admin"})

    def test_narrower_rules(self) -> None:
        """A filter of a product applies to the rules of each of its services."""
        text = rule_text({"s": {"f": "a"}}, logsource={"product": "x", "service": "y"})

        loaded = load(text, a_filter("any", {"u": "admin"}, product="x"))

        assert not matches(loaded.rules[0], {"f": "a", "u": "admin"})

    def test_names_do_not_mix(self) -> None:
        """`them` and patterns of the rule do not take in the filter's selections, nor the other way round."""
        text = rule_text({"selection": {"f": "a"}, "condition": "1 of selection* or all of them"})

        loaded = load(text, a_filter("any", {"u": "x"}, condition="not 1 of them"))

        assert matches(loaded.rules[0], {"f": "a"})
        assert not matches(loaded.rules[0], {"u": "x"})
        assert not matches(loaded.rules[0], {"f": "a", "u": "x"})

    def test_several_and_as_written(self) -> None:
        """Each is AND-ed as it is written; a positive condition restricts. Order of the files does not matter."""
        loaded = load(
            a_filter("any", {"u": "adm_*"}, condition="selection"),
            rule_text({"s": {"f": "a"}, "t": {"f": "b"}, "condition": ["s", "t"]}),
            a_filter("any", {"h": "lab"}),
        )

        assert matches(loaded.rules[0], {"f": "b", "u": "adm_x"})
        assert not matches(loaded.rules[0], {"f": "b", "u": "eve"})
        assert not matches(loaded.rules[0], {"f": "a", "u": "adm_x", "h": "lab"})

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"rules": None}, "rules"),
            ({"rules": 5}, "rules"),
            ({"condition": None}, "condition"),
            ({"condition": ["selection"]}, ""),
            ({"condition": ["selection", "selection"]}, "one"),
            ({"condition": "selektion"}, "did you mean"),
            ({"selection": {"f|re": "("}}, ")"),
        ],
    )
    def test_refused(self, change: dict[str, Any], message: str) -> None:
        """A broken filter is reported, and the rules run without it."""
        import orjson

        broken = orjson.loads(a_filter("any", {"u": "x"}))
        broken["filter"] |= change
        broken["filter"] = {key: value for key, value in broken["filter"].items() if value is not None}

        loaded = load(FULL, orjson.dumps(broken))

        assert len(loaded.rules) == 1
        assert message in loaded.refused[0].message


class TestHostile:
    """Rules that were written to harm are refused in no time; nothing dies of them."""

    @pytest.mark.parametrize(
        "text",
        [
            "x" * (10 << 20),
            "[" * 25_000,
            HEAD + "detection:\n  s:\n    f: " + "[" * 25_000,
            "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
            + "\n".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)),
            HEAD + "detection:\n  s:\n    f: &a [*a]\n  condition: s",
            HEAD + "detection:\n  s:\n    f|windash: '" + " -a" * 1000 + "'\n  condition: s",
            HEAD + "detection:\n  s:\n    f|windash: [" + "' -a -b -c'," * 2000 + "]\n  condition: s",
            HEAD + "detection:\n  s:\n    f|base64offset|contains: [" + "abc," * 20_000 + "]\n  condition: s",
            HEAD + "detection:\n  s:\n    f: [" + "a," * 1_000_000 + "]\n  condition: s",
            HEAD + "detection:\n  s: {f: a}\n  condition: " + "(" * 1000 + "s" + ")" * 1000,
            HEAD + "detection:\n  s: {f: a}\n  condition: " + "not " * 1000 + "s",
            HEAD + "detection:\n  s: {f: a}\n  condition: " + " or ".join(["s"] * 20_000),
            HEAD + "detection:\n  s: {f|re: '((a{100}){100}){100}'}\n  condition: s",
            HEAD + "detection:\n  s:\n    f|re: [" + r"'(\pL{9}){99}'," * 3000 + "]\n  condition: s",
            HEAD + "detection:\n  s: {f: '" + "?" * 100_000 + "'}\n  condition: s",
            HEAD + "detection:\n  s: {f|base64offset|contains: ''}\n  condition: s",
            HEAD + "detection:\n  s: {f|expand: '" + "%a%" * 100 + "'}\n  condition: s",
            HEAD + "detection:\n  s: {f: !!python/object/apply:os.abort []}\n  condition: s",
        ],
        ids=lambda text: f"{text.removeprefix(HEAD)[:40]!r}",
    )
    def test_refused_quickly(self, text: str) -> None:
        """One file cannot take more than a moment or some megabytes."""
        started = time.thread_time()
        loaded = load(text, FULL, values={"a": [f"v{n}" for n in range(100)]})
        spent = time.thread_time() - started

        assert [each.id for each in loaded.rules] == [ID]
        assert [each.where.partition(":")[0] for each in loaded.refused] == ["0.yml"]
        assert spent < 1.0

    def test_long_patterns_are_fast(self) -> None:
        """A wildcard pattern cannot make a search quadratic."""
        tested = rule({"s": {"f": "*" + "*".join("ab" * 500) + "*c", "g": "*" + "a?" * 100 + "*c"}})
        started = time.thread_time()

        assert not matches(tested, {"f": "ab" * 50_000, "g": "a" * 100_000})
        assert time.thread_time() - started < 3

    def test_memory(self) -> None:
        """A bomb does not even take memory."""
        text = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "\n".join(
            f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)
        )
        tracemalloc.start()

        load(text)

        assert tracemalloc.get_traced_memory()[1] < 20 << 20
        tracemalloc.stop()
