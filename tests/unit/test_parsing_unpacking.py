from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.definition import Unpack
from detector.parsing.unpacking import MAX_PAIRS, cef_pairs, columns, leef_pairs, pairs, unpacker

TEXTS = st.text(st.sampled_from('ab ="\\,|\t\n'), max_size=30)


class TestPairs:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a=1 b=2", {"a": "1", "b": "2"}),
            ('a="x y" b=', {"a": "x y", "b": ""}),
            (r'a="x \"y\" \\z" b=1', {"a": r'x "y" \z', "b": "1"}),
            ("IN=eth0 OUT= DF PROTO=TCP SYN", {"IN": "eth0", "OUT": "", "PROTO": "TCP"}),
            ("a=1 a=2", {"a": "1"}),
            ('a="never ends', {"a": "never ends"}),
            ("a=b=c", {"a": "b=c"}),
            ("no pairs at all", {}),
            ("=1 a=2", {"a": "2"}),
        ],
    )
    def test_reads(self, text: str, expected: dict[str, str]) -> None:
        """Quotes hold spaces, words without a value are flags, the first of equal keys counts."""
        assert pairs(text) == expected

    def test_separators(self) -> None:
        """Characters named divide pairs, too."""
        assert pairs("a=1,b=2;c=3", ",;") == {"a": "1", "b": "2", "c": "3"}

    def test_bounded(self) -> None:
        """A line cannot give more fields than the limit."""
        assert len(pairs(" ".join(f"k{number}=1" for number in range(2 * MAX_PAIRS)))) == MAX_PAIRS

    @given(st.dictionaries(st.text("abc", min_size=1), st.text('xy "\\='), max_size=5))
    def test_round_trip(self, fields: dict[str, str]) -> None:
        """What is written with quotes and escapes is read back."""
        escaped = {key: value.replace("\\", "\\\\").replace('"', '\\"') for key, value in fields.items()}

        assert pairs(" ".join(f'{key}="{value}"' for key, value in escaped.items())) == fields


class TestCef:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("src=10.0.0.1 msg=a b c dst=2.1.2.2", {"src": "10.0.0.1", "msg": "a b c", "dst": "2.1.2.2"}),
            (r"msg=a\=b \\ c\nd act=x", {"msg": "a=b \\ c\nd", "act": "x"}),
            ("request=http://x/?a=1&b=2 act=y", {"request": "http://x/?a=1&b=2", "act": "y"}),
            ("cs1=7 cs1Label=Rule", {"cs1": "7", "cs1Label": "Rule", "Rule": "7"}),
            ("suser= duser=bob", {"suser": "", "duser": "bob"}),
            ("", {}),
        ],
    )
    def test_reads(self, text: str, expected: dict[str, str]) -> None:
        """A value goes on to the next key; what is escaped is no delimiter."""
        assert cef_pairs(text) == expected


class TestLeef:
    @pytest.mark.parametrize("delimiter", ["^", "x5e", "0x5E"])
    def test_delimiters(self, delimiter: str) -> None:
        """The delimiter may be written as itself or in hexadecimal."""
        assert leef_pairs("src=1.2.3.4^usrName=a b", delimiter) == {"src": "1.2.3.4", "usrName": "a b"}

    def test_tab(self) -> None:
        """Without one it is a tab, or spaces where a forwarder has replaced it."""
        assert leef_pairs("src=1.2.3.4\tmsg=a b") == leef_pairs("src=1.2.3.4 msg=a b")


class TestColumns:
    @given(st.lists(st.text('ab," '), min_size=1, max_size=6))
    def test_comma(self, values: list[str]) -> None:
        """Quoted columns are read as they were written."""
        line = ",".join('"' + value.replace('"', '""') + '"' for value in values)

        assert columns(line, ",") == values == next(csv.reader([line]))

    def test_open_quote(self) -> None:
        """A quote that never ends holds the rest."""
        assert columns('a,"b,c', ",") == ["a", "b,c"]

    def test_tab(self) -> None:
        """Other separators know no quotes."""
        assert columns('a\t"b\tc', "\t") == ["a", '"b', "c"]


class TestUnpacker:
    @given(TEXTS)
    def test_any_text(self, text: str) -> None:
        """Whatever a group holds, it gives texts, and the groups keep their values."""
        for style in ("pairs", "cef", "leef"):
            unpack = unpacker([Unpack.model_validate({"from": "rest", "style": style})])
            assert unpack is not None

            found = unpack({"rest": text})

            assert found["rest"] == text
            assert all(isinstance(value, str) for value in found.values())

    def test_absent(self) -> None:
        """Texts that stand for no value give no field."""
        part = Unpack.model_validate(
            {"from": "rest", "style": "columns", "separator": "\t", "names": ["a", "b"], "absent": ["-"]}
        )
        unpack = unpacker([part])
        assert unpack is not None

        assert unpack({"rest": "-\tx"}) == {"rest": "-\tx", "b": "x"}

    def test_nothing(self) -> None:
        """A definition without parts has nothing to unpack."""
        assert unpacker([]) is None
