"""The pairs of records of Linux's audit system."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.parsing.audit import audit_pairs
from tests.parsing import parsers_of


class TestAuditPairs:
    @pytest.mark.parametrize(
        ("kind", "text", "fields"),
        [
            ("SYSCALL", 'a0=26 exe="/bin/x y" pid=1', {"a0": "26", "exe": "/bin/x y", "pid": "1"}),
            ("SYSCALL", "a0=26 comm=6120", {"a0": "26", "comm": "a "}),
            ("SYSCALL", "tty=(none) addr=? key=(null) x=", {}),
            ("SYSCALL", 'a=1\x1dARCH=x86_64 UID="root"', {"a": "1", "ARCH": "x86_64", "UID": "root"}),
            ("EXECVE", 'argc=2 a0="ls" a1=2D6C20', {"argc": "2", "a0": "ls", "a1": "-l ", "argv": "ls -l "}),
            ("EXECVE", 'a1_len=4 a1[0]=6162 a1[1]=63 a0="x"', {"a0": "x", "a1": "abc", "argv": "x abc", "a1_len": "4"}),
            ("AVC", "avc:  denied  { read } for  pid=1", {"pid": "1"}),
            (
                "USER_CMD",
                "pid=1 msg='cwd=\"/\" cmd=6C73 res=success'",
                {"pid": "1", "cwd": "/", "cmd": "ls", "res": "success"},
            ),
            ("USER", "msg='no pairs'", {"msg": "no pairs"}),
            ("TTY", "data=6C730A", {"data": "ls\n"}),
            ("X", "comm=61ff", {"comm": "a\ufffd"}),
            ("X", 'a="never ends b=1', {"a": '"never', "b": "1"}),
            ("X", "a=1 a=2", {"a": "1"}),
            ("X", "", {}),
            ("X", "=x", {}),
        ],
    )
    def test_fields(self, kind: str, text: str, fields: dict[str, str]) -> None:
        """Each way to write a value gives it; what stands for none is left out; the first of a name counts."""
        found = audit_pairs(kind, text)

        assert {name: found.get(name) for name in fields} == fields
        assert {name for name in found if "[" not in name} == set(fields)

    @given(st.sampled_from(["EXECVE", "SYSCALL"]), st.text("abc01 ='\"\x1d[]_", max_size=60))
    def test_anything(self, kind: str, text: str) -> None:
        """Nothing raises, and no value stands for none."""
        assert "" not in audit_pairs(kind, text).values()

    @pytest.mark.parametrize("part", ["a=", "a=1 ", "'=", 'x="y" ', "a='b='"])
    def test_long(self, part: str) -> None:
        """A long line takes no more than its share of time, and gives a bounded number of fields."""
        text = "".join(f"{number}{part}" for number in range(200_000))
        started = time.process_time()

        fields = audit_pairs("EXECVE", text)

        assert len(fields) <= 4_098
        assert time.process_time() - started < 2


class TestDefinition:
    def test_unknown_group(self) -> None:
        """Pairs from a group that the expression does not have are an error."""
        parsers = parsers_of("name: a\ntitle: A\npattern: '(?P<x>.*)'\naudit: [x, pairs]\n")

        assert [str(error) for error in parsers.errors] == ["1.yml:4: no group is named 'pairs'"]
