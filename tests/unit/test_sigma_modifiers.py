"""Each modifier of the specification, and the values that it is about."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from detector.sigma.values import TimePart
from tests.sigma import asks, event, matches, refusal, rule


class TestTexts:
    """Texts without modifiers, and where the modifiers say that they stand."""

    @pytest.mark.parametrize(
        ("item", "value", "of", "expected"),
        [
            ("", "Cmd.exe", "cMD.EXE", True),
            ("", "cmd", "cmd.exe", False),
            ("", "", "", True),
            ("", "", " ", False),
            ("|startswith", "cmd", "CMD.exe", True),
            ("|startswith", "md", "cmd", False),
            ("|endswith", ".exe", "cmd.EXE", True),
            ("|endswith", ".ex", "cmd.exe", False),
            ("|contains", "D.E", "cmd.exe", True),
            ("|contains", "dd", "cmd.exe", False),
            ("|contains", "", "", True),
            ("|cased", "cmd", "cmd", True),
            ("|cased", "cmd", "Cmd", False),
            ("|contains|cased", "md", "CMD cmd", True),
            ("|cased|contains", "md", "CMD", False),
            ("|startswith|cased", "cm", "cmd", True),
        ],
    )
    def test_places_and_case(self, item: str, value: str, of: str, expected: bool) -> None:
        """A text compares whole and without case unless a modifier says otherwise."""
        assert asks(item, value, of) is expected

    @pytest.mark.parametrize(
        ("value", "of", "expected"),
        [
            ("STRASSE", "straße", False),
            ("ß", "ẞ", True),
            ("Σ", "ς", True),
            ("k", "\u212a", True),
            ("İ", "i", False),
            ("é", "e\u0301", False),
            ("ÀÉ", "àé", True),
            ("\uab70", "\u13a0", True),
        ],
    )
    def test_folding_is_simple(self, value: str, of: str, expected: bool) -> None:
        """Case is folded code point by code point, and nothing is normalized."""
        assert asks("", value, of) is expected

    def test_all_may_be_met_by_different_elements(self) -> None:
        """With `all`, each value may match another element of an array."""
        detection = {"s": {"f|contains|all": ["a", "b"]}}

        assert matches(detection, {"f": ["xax", "xbx"]})
        assert not matches(detection, {"f": ["xax", "xcx"]})
        assert matches(detection, {"f": "ab"})

    def test_list_means_any(self) -> None:
        """A list of values matches if one of them does."""
        assert matches({"s": {"f": ["a", "b"]}}, {"f": "B"})
        assert not matches({"s": {"f": ["a", "b"]}}, {"f": "c"})


class TestWildcards:
    """`*`, `?` and their escapes."""

    @pytest.mark.parametrize(
        ("value", "of", "expected"),
        [
            ("a*c", "abbbc", True),
            ("a*c", "ac", True),
            ("a*c", "abcd", False),
            ("a?c", "abc", True),
            ("a?c", "ac", False),
            ("a?c", "abbc", False),
            ("a*c", "a\nc", True),
            ("a?c", "a\nc", True),
            ("?", "😀", True),
            ("??", "é", False),
            ("*", "", True),
            ("?", "", False),
            ("*b*d*", "abcde", True),
            ("*d*b*", "abcde", False),
            ("ab*ba", "aba", False),
            ("a*b*a", "aba", True),
            ("a*b*a", "abba", True),
            (r"a\*c", "a*c", True),
            (r"a\*c", "abc", False),
            (r"a\?c", "a?c", True),
            (r"a\?c", "abc", False),
            (r"a\\*c", r"a\bc", True),
            (r"a\\*c", "a*c", False),
            (r"a\\\*c", r"a\*c", True),
            (r"a\\\*c", r"a\bc", False),
            (r"a\b", r"a\b", True),
            (r"a\\b", r"a\b", True),
            (r"a\\\\b", r"a\\b", True),
            ("a\\", "a\\", True),
            (r"\\host\*", r"\host*", True),
        ],
    )
    def test_specification(self, value: str, of: str, expected: bool) -> None:
        """Wildcards and escapes mean what the specification says."""
        assert asks("", value, of) is expected

    def test_with_places(self) -> None:
        """Wildcards keep their meaning under `contains`, `startswith` and `endswith`."""
        assert asks("|contains", "a*c", "xabcx")
        assert asks("|startswith", "a?c", "abcx")
        assert asks("|endswith", "a?c", "xabc")
        assert not asks("|endswith", "a?c", "abcx")
        assert not asks("|cased", "A?c", "abc")


class TestNumbersAndBooleans:
    """Numbers and booleans compare as canonical text."""

    @pytest.mark.parametrize(
        ("value", "of", "expected"),
        [
            (5, 5, True),
            (5, "5", True),
            (5, 5.0, True),
            ("5", 5, True),
            (5.0, 5, True),
            (5, "5.0", False),
            (5, "05", False),
            (1.5, 1.5, True),
            (1.5, "1.5", True),
            (5, 50, False),
            (True, "True", True),
            ("True", True, True),
            (True, True, True),
            (False, "false", True),
            (True, 1, False),
            (-0.0, 0, True),
            (9007199254740993, 9007199254740993, True),
            (9007199254740993, 9007199254740992, False),
            ("5*", 512, True),
        ],
    )
    def test_equality(self, value: Any, of: Any, expected: bool) -> None:
        """5, 5.0 and "5" are equal, and so are true and "True"."""
        assert asks("", value, of) is expected

    @pytest.mark.parametrize(
        ("modifier", "value", "of", "expected"),
        [
            ("lt", 5, 4, True),
            ("lt", 5, 5, False),
            ("lte", 5, 5, True),
            ("gt", 5, 5.5, True),
            ("gt", 5, 5, False),
            ("gte", 5, "5", True),
            ("gte", 1.5, "1.49", False),
            ("gt", -2, "-1.5", True),
            ("gt", 5, "6 ", False),
            ("gt", 5, "0x10", False),
            ("gt", 5, "1e3", False),
            ("gt", 5, "six", False),
            ("gt", 5, "6.", False),
            ("gt", 5, "٦", False),
            ("gt", 0, True, False),
            ("gt", 5, None, False),
            ("gt", 5, ..., False),
            ("gt", 5, [1, 9], True),
            ("gt", 5, "9" * 5000, True),
            ("lt", 5, {"a": 1}, False),
        ],
    )
    def test_comparison(self, modifier: str, value: float, of: Any, expected: bool) -> None:
        """Only JSON numbers and decimal texts compare; anything else is false."""
        assert asks(f"|{modifier}", value, of) is expected


class TestNull:
    """`null` and `exists`: what is not there, and what is there but empty."""

    @pytest.mark.parametrize(
        ("of", "is_null", "exists"),
        [
            (..., True, False),
            (None, True, True),
            ("", False, True),
            ([], False, True),
            ([None, "a"], True, True),
            ({}, False, True),
            (0, False, True),
            (False, False, True),
        ],
    )
    def test_presence_is_kept_apart_from_null(self, of: Any, is_null: bool, exists: bool) -> None:
        """`null` is an absent field or a null, never an empty text; `exists` asks for presence alone."""
        assert asks("", None, of) is is_null
        assert asks("|exists", True, of) is exists
        assert asks("|exists", False, of) is not exists

    def test_null_in_a_list(self) -> None:
        """null may be one of several values."""
        assert asks("", [None, "a"], ...)
        assert asks("", [None, "a"], "A")
        assert not asks("", [None, "a"], "b")


class TestNeq:
    """`neq` is NOT of the whole item."""

    @pytest.mark.parametrize(
        ("item", "value", "of", "expected"),
        [
            ("|neq", "a", "b", True),
            ("|neq", "a", "A", False),
            ("|neq", "a", ..., True),
            ("|neq", ["a", "b"], "b", False),
            ("|neq", ["a", "b"], "c", True),
            ("|contains|all|neq", ["a", "b"], "a", True),
            ("|contains|all|neq", ["a", "b"], "ab", False),
            ("|re|neq", "^a", "ba", True),
            ("|cidr|neq", "10.0.0.0/8", "10.1.1.1", False),
            ("|cidr|neq", "10.0.0.0/8", "no address", True),
            ("|gt|neq", 5, 4, True),
            ("|neq", 5, "5", False),
            ("|neq", "a", ["a", "b"], False),
        ],
    )
    def test_negates_the_item(self, item: str, value: Any, of: Any, expected: bool) -> None:
        """It holds where the item without it does not, absent fields included."""
        assert asks(item, value, of) is expected


class TestRegex:
    """Regular expressions: RE2, unanchored."""

    @pytest.mark.parametrize(
        ("item", "value", "of", "expected"),
        [
            ("|re", "b+", "abbc", True),
            ("|re", "B", "abc", False),
            ("|re|i", "B", "abc", True),
            ("|re", "(?i)B", "abc", True),
            ("|re", "^b", "a\nb", False),
            ("|re|m", "^b", "a\nb", True),
            ("|re", "a.b", "a\nb", False),
            ("|re|s", "a.b", "a\nb", True),
            ("|re|i|s", "A.b", "a\nB", True),
            ("|re", "^5$", 5, True),
            ("|re", r"\d{2}", [1, 22], True),
            ("|re", "a", ..., False),
            ("|re", "a*", "", True),
            ("|re", r"^\*$", "*", True),
            ("|re", "é$", "é", True),
            ("|re|startswith", "a|b", "ba", True),
            ("|re|startswith", "a", "ba", False),
            ("|re|endswith", "a|b", "ab", True),
            ("|re|endswith", "a", "ab", False),
            ("|re|contains", "b|x", "abc", True),
        ],
    )
    def test_flags_and_places(self, item: str, value: str, of: Any, expected: bool) -> None:
        """Flags are those of the specification; `startswith` and `endswith` anchor."""
        assert asks(item, value, of) is expected

    @pytest.mark.parametrize("value", ["(?=a)", r"(a)\1", "(?<!a)b", "(", "a{2000}", "a" * 5000])
    def test_what_re2_refuses(self, value: str) -> None:
        """Look-around, back-references, and what is too large are load errors."""
        assert refusal({"s": {"f|re": value}})

    def test_re_comes_first(self) -> None:
        """`re` after another modifier is refused."""
        assert refusal({"s": {"f|contains|re": "a"}})


class TestEncodings:
    """`base64*`, `wide` and `utf16*`."""

    @pytest.mark.parametrize(
        ("item", "encoding"),
        [
            ("wide", "utf-16le"),
            ("utf16le", "utf-16le"),
            ("utf16be", "utf-16be"),
        ],
    )
    @pytest.mark.parametrize("text", ["whoami", "Größe €", "пароль", "😀"])
    def test_wide_base64(self, item: str, encoding: str, text: str) -> None:
        """The bytes of the encoding are what Base64 sees, beyond ASCII too."""
        encoded = b64encode(text.encode(encoding)).decode()

        assert asks(f"|{item}|base64", text, encoded)

    def test_utf16_has_a_mark(self) -> None:
        """`utf16` puts the byte order mark first."""
        assert asks("|utf16|base64", "cmd", b64encode(b"\xff\xfec\0m\0d\0").decode())

    def test_wide_alone(self) -> None:
        """Without Base64, each byte is the character of its number."""
        assert asks("|wide|contains", "cmd", "xc\0m\0d\0x")
        assert asks("|wide", "é", "\xe9\0")

    @pytest.mark.parametrize("text", ["http://", "cmd.exe", "Größe €", "abc"])
    @pytest.mark.parametrize("around", ["", "x", "xy", "xyz"])
    def test_offsets(self, text: str, around: str) -> None:
        """`base64offset|contains` finds the text wherever it stands in what was encoded."""
        encoded = b64encode((around + text + "äöü").encode()).decode()

        assert asks("|base64offset|contains", text, f"<{encoded}>")

    def test_wide_offsets(self) -> None:
        """`wide|base64offset|contains`, the usual chain, finds UTF-16 at any offset."""
        for before in ("", "a", "ab"):
            encoded = b64encode((before.encode() + "Größe!".encode("utf-16le")) + b"zz").decode()

            assert asks("|wide|base64offset|contains", "Größe!", encoded)

    def test_case(self) -> None:
        """Base64 compares without case unless `cased` is there, before or after."""
        encoded = b64encode(b"Hello").decode()

        assert asks("|base64", "Hello", encoded.swapcase())
        assert not asks("|base64|cased", "Hello", encoded.swapcase())
        assert not asks("|cased|base64offset|contains", "Hello", encoded.swapcase())

    @pytest.mark.parametrize(
        ("item", "value"),
        [
            ("|base64", ""),
            ("|base64offset|contains", ""),
            ("|base64offset|contains", "a"),
            ("|wide|base64", ""),
            ("|base64", "a*"),
            ("|base64offset|contains", "a?b"),
        ],
    )
    def test_what_has_no_encoded_form(self, item: str, value: str) -> None:
        """A needle that is empty after encoding, or has wildcards, is refused."""
        assert refusal({"s": {f"f{item}": value}})


class TestWindash:
    """`windash`: five characters, at most three places."""

    @pytest.mark.parametrize("dash", ["-", "/", "\u2013", "\u2014", "\u2015"])
    @pytest.mark.parametrize("written", ["-enc", "/enc"])
    def test_five_characters(self, dash: str, written: str) -> None:
        """Each of the five stands for a dash or slash that begins a parameter."""
        assert asks("|windash|contains", f" {written} ", f"cmd {dash}enc x")

    def test_inner_dashes_stay(self) -> None:
        """A dash inside a word is only itself."""
        assert asks("|windash", "-a-b", "/a-b")
        assert not asks("|windash", "-a-b", "-a/b")

    def test_any_form_within_all(self) -> None:
        """Under `all` each value needs one of its forms, not all of them."""
        assert asks("|windash|contains|all", [" -a", " -b"], "x /a \u2014b")
        assert not asks("|windash|contains|all", [" -a", " -b"], "x /a")

    def test_three_dashes_are_the_limit(self) -> None:
        """Four would be 625 forms: refused."""
        assert asks("|windash", "-a -b -c", "/a \u2013b \u2015c")
        assert "dash" in refusal({"s": {"f|windash": "-a -b -c -d"}})

    def test_with_wide_and_base64(self) -> None:
        """What it makes can be encoded."""
        encoded = b64encode("/a".encode("utf-16le")).decode()

        assert asks("|windash|wide|base64", "-a", encoded)


class TestCidr:
    """Networks."""

    @pytest.mark.parametrize(
        ("network", "of", "expected"),
        [
            ("10.0.0.0/8", "10.200.3.4", True),
            ("10.0.0.0/8", "11.0.0.1", False),
            ("10.0.0.0/8", "::ffff:10.1.2.3", True),
            ("::ffff:10.0.0.0/104", "10.1.2.3", True),
            ("2001:db8::/32", "2001:DB8::1", True),
            ("::/0", "10.1.2.3", False),
            ("::/0", "::ffff:10.1.2.3", False),
            ("10.1.2.3", "10.1.2.3", True),
            ("10.0.0.0/8", "10.1.2.3:80", False),
            ("10.0.0.0/8", "010.1.2.3", False),
            ("10.0.0.0/8", " 10.1.2.3", False),
            ("10.0.0.0/8", 167772161, False),
            ("10.0.0.0/8", "", False),
            ("10.0.0.0/8", ["x", "10.1.1.1"], True),
            ("10.0.0.0/8", ..., False),
        ],
    )
    def test_membership(self, network: str, of: Any, expected: bool) -> None:
        """An address in the network, IPv4 in IPv6 clothing included; what is no address is false."""
        assert asks("|cidr", network, of) is expected

    @pytest.mark.parametrize("network", ["10.0.0.1/8", "10.0.0.0/33", "x", ""])
    def test_what_is_no_network(self, network: str) -> None:
        """Host bits, impossible lengths and other texts are load errors."""
        assert refusal({"s": {"f|cidr": network}})


class TestFieldRef:
    """Comparing two fields."""

    @pytest.mark.parametrize(
        ("item", "of", "other", "expected"),
        [
            ("|fieldref", "A", "a", True),
            ("|fieldref", 5, "5", True),
            ("|fieldref", "a", "b", False),
            ("|fieldref", "a", ..., False),
            ("|fieldref", ..., "a", False),
            ("|fieldref", ..., ..., False),
            ("|fieldref", None, None, False),
            ("|fieldref", ["x", "a"], ["b", "A"], True),
            ("|fieldref|neq", "a", "b", True),
            ("|fieldref|neq", "a", "A", False),
            ("|fieldref|neq", "a", ..., True),
            ("|fieldref|startswith", "abc", "AB", True),
            ("|fieldref|startswith", "abc", "bc", False),
            ("|fieldref|endswith", "abc", "bc", True),
            ("|fieldref|contains", "abc", "b", True),
            ("|cased|fieldref", "A", "a", False),
            ("|fieldref|contains", "a*c", "*", True),
            ("|fieldref", "abc", "a*c", False),
        ],
    )
    def test_equality(self, item: str, of: Any, other: Any, expected: bool) -> None:
        """Both must be present and equal without case; the other's text has no wildcards."""
        raw = {key: value for key, value in (("f", of), ("g", other)) if value is not ...}

        assert matches({"s": {f"f{item}": "g"}}, raw) is expected

    def test_wildcards_are_refused(self) -> None:
        """A reference names one field."""
        assert refusal({"s": {"f|fieldref": "g*"}})


class TestTimeParts:
    """Parts of RFC 3339 times as they are written."""

    @pytest.mark.parametrize(
        ("part", "value"),
        list(zip(TimePart, (59, 23, 31, 1, 12, 2024), strict=True)),
    )
    def test_each_part(self, part: TimePart, value: int) -> None:
        """Minute, hour, day, ISO week, month and year."""
        assert asks(f"|{part.value}", value, "2024-12-31T23:59:01Z")
        assert not asks(f"|{part.value}", value + 1, "2024-12-31T23:59:01Z")

    @pytest.mark.parametrize(
        ("of", "expected"),
        [
            ("2024-01-02T09:00:00+05:30", True),
            ("2024-01-02 09:59:59.123456", True),
            ("2024-01-02t09:00:60z", True),
            ("2024-01-02T09:00:00", True),
            ("2024-01-02T9:00:00Z", False),
            ("2024-02-30T09:00:00Z", False),
            ("2024-01-02T09:61:00Z", False),
            ("20240102T090000Z", False),
            ("2024-01-02", False),
            ("2024-01-02T09:00:00Zulu", False),
            ("2024-01-02T09:00:00+0530", False),
            ("٢024-01-02T09:00:00Z", False),
            (9, False),
            (None, False),
            (["x", "2024-01-02T09:00:00Z"], True),
        ],
    )
    def test_what_is_a_time(self, of: Any, expected: bool) -> None:
        """No zone is applied, and what is no time is false."""
        assert asks("|hour", 9, of) is expected

    def test_comparison(self) -> None:
        """A part can be compared."""
        assert asks("|hour|gte", 22, "2024-01-02T23:00:00Z")
        assert not asks("|hour|lt", 6, "2024-01-02T23:00:00Z")


class TestExpand:
    """Placeholders."""

    def test_values_fill_in(self) -> None:
        """Each value of the placeholder is a value of the item, wildcards included."""
        detection = {"s": {"f|expand": "%admins%"}}

        assert matches(detection, {"f": "Bob"}, values={"admins": ["alice", "bob"]})
        assert matches(detection, {"f": "svc-7"}, values={"admins": ["svc-*"]})
        assert not matches(detection, {"f": "eve"}, values={"admins": ["alice"]})

    def test_inside_a_text(self) -> None:
        """A placeholder may be part of a value."""
        assert matches({"s": {"f|contains|expand": r"\%u%\x"}}, {"f": r"C:\bob\x.exe"}, values={"u": ["al", "bob"]})

    def test_before_other_modifiers(self) -> None:
        """What comes after `expand` works on the values."""
        assert matches({"s": {"f|expand|cidr": "%nets%"}}, {"f": "10.1.1.1"}, values={"nets": ["10.0.0.0/8"]})
        encoded = b64encode(b"bob").decode()
        assert matches({"s": {"f|expand|base64": "%u%"}}, {"f": encoded}, values={"u": ["bob"]})

    def test_in_a_regular_expression(self) -> None:
        """Values go into the expression as they are."""
        assert matches({"s": {"f|re|expand": "^%u%$"}}, {"f": "bob"}, values={"u": ["b.b"]})

    def test_many_values(self) -> None:
        """A list of thousands is fine."""
        values = {"ips": [f"10.0.{n // 256}.{n % 256}" for n in range(5000)]}

        assert matches({"s": {"f|expand": "%ips%"}}, {"f": "10.0.19.135"}, values=values)

    @pytest.mark.parametrize("item", ["|expand", "|expand|base64", "|contains|expand"])
    def test_without_values(self, item: str) -> None:
        """A placeholder that nothing fills rejects the rule and says so."""
        assert "%admins%" in refusal({"s": {f"f{item}": "%admins%"}})

    def test_percent_signs(self) -> None:
        """Without `expand`, percent signs are themselves."""
        assert asks("", "%admins%", "%admins%")


class TestMistakes:
    """What is refused, with a message that helps."""

    @pytest.mark.parametrize(
        ("item", "value", "hint"),
        [
            ("|not", "a", "neq"),
            ("|contians", "a", "contains"),
            ("|equalsfield", "g", "fieldref"),
            ("|contains", 443, "quotes"),
            ("|gt", "5", "numbers"),
            ("|hour", "x", "numbers"),
            ("|re", 5, "quotes"),
            ("|exists", "yes", "true or false"),
            ("|base64|cidr", "10.0.0.0/8", "cidr"),
            ("", [], "empty"),
            ("", {"g": 1}, "f.NAME"),
            ("", [["a"]], "f.NAME"),
            ("|", "a", "modifier"),
        ],
    )
    def test_messages(self, item: str, value: Any, hint: str) -> None:
        """Each usual mistake names its remedy."""
        assert hint in refusal({"s": {f"f{item}": value}})

    def test_single_all_is_accepted(self) -> None:
        """`all` on one value changes nothing."""
        assert asks("|contains|all", "a", "xax")

    def test_labels(self) -> None:
        """Evidence names the modifiers as the rule writes them."""
        tested = rule({"s": {"f|contains|windash": "-a"}})
        subject = event({"f": "x /a"})
        from detector.sigma.fields import EventView

        evidence = tested.explain((EventView(subject, subject.bindings[0]),)).evidence

        assert [(each.field, each.value, each.modifiers, each.pattern, each.selection) for each in evidence] == [
            ("f", "x /a", "contains|windash", "*/a*", "s")
        ]
