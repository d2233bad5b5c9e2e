"""Lines made for measuring accuracy: access logs with every oddity of the format, and noise."""

from __future__ import annotations

import random
import string

_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND")
_PARTS = ("a", "b%20c", "%2e%2e", "wp-admin", "ünïcode", "x'y", r"q\"uote", r"\x16\x03", "[1]", "(2)", "*", "~u")
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "curl/8.5.0",
    "-",
    "",
    r"a \"quoted\" agent",
    "Jorgee [scan] (x; y)",
    "() { :; }; /bin/bash -c 'id'",
)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TEXT = (
    "the quick brown fox jumps over a lazy dog and some more words that say nothing to anyone who reads them total "
    "drwxr-xr-x 4096 usage: cp [OPTION]... SOURCE DEST $ ls -la /tmp # comment // note -- select * from t; <p>hi</p>"
)
_WORDS = _TEXT.split()


def access_lines(count: int, seed: int = 7) -> list[bytes]:
    """Lines of the combined format; every twentieth is cut, or lacks a part, so that it is none."""
    chance = random.Random(seed)
    lines = []
    for number in range(count):
        line = _access_line(chance)
        if number % 20 == 7:
            request = line.index('] "') + 3  # a cut behind it may leave a line of the common format
            line = line[: chance.randrange(request, line.index('" ', request) + 1)]
        elif number % 20 == 13:
            line = line.replace("] ", " ", 1)
        lines.append(line.encode())
    return lines


def _access_line(chance: random.Random) -> str:
    client = chance.choice(
        (
            ".".join(str(chance.randrange(256)) for _ in range(4)),
            f"2001:db8::{chance.randrange(1 << 16):x}",
            "crawler-7.example.net",
        )
    )
    user = chance.choice(("-", "-", "alice", "bob@example.com", "o'neil"))
    month = chance.choice(_MONTHS)
    zone = chance.choice(("+0000", "-0730", "+0530", "+1400"))
    time = f"{chance.randrange(1, 29):02}/{month}/{chance.randrange(2016, 2025)}:{_clock(chance)} {zone}"
    path = "/" + "/".join(chance.choices(_PARTS, k=chance.randrange(4)))
    query = "?" + "&".join(f"k={part}" for part in chance.choices(_PARTS, k=2)) if chance.random() < 0.5 else ""
    request = f"{chance.choice(_METHODS)} {path}{query} HTTP/{chance.choice(('1.0', '1.1', '2.0'))}"
    request = chance.choice((request, request, request, request, "-", r"\x16\x03\x01", "GET /only-a-path"))
    size = chance.choice(("-", "0", str(chance.randrange(10**9))))
    referrer = chance.choice(("-", "https://example.com/a?b=c", ""))
    status = chance.choice((200, 301, 304, 400, 404, 499, 500))
    return f'{client} - {user} [{time}] "{request}" {status} {size} "{referrer}" "{chance.choice(_AGENTS)}"'


def _clock(chance: random.Random) -> str:
    return f"{chance.randrange(24):02}:{chance.randrange(60):02}:{chance.randrange(60):02}"


def noise_lines(count: int, seed: int = 11) -> list[bytes]:
    """Lines of no format: prose, letters and digits, punctuation, bytes, numbers, pieces of other files."""
    chance = random.Random(seed)
    makers = (_prose, _letters, _punctuation, _bytes, _numbers, _pieces)
    return [chance.choice(makers)(chance) for _ in range(count)]


def _prose(chance: random.Random) -> bytes:
    return " ".join(chance.choices(_WORDS, k=chance.randrange(1, 20))).encode()


def _letters(chance: random.Random) -> bytes:
    return "".join(chance.choices(string.ascii_letters + string.digits + "+/=", k=chance.randrange(1, 200))).encode()


def _punctuation(chance: random.Random) -> bytes:
    return "".join(chance.choices(string.punctuation + "  ", k=chance.randrange(1, 80))).encode()


def _bytes(chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 120))


def _numbers(chance: random.Random) -> bytes:
    count = chance.randrange(1, 20)
    numbers = [str(chance.choice((chance.randrange(10**6), round(chance.random() * 100, 3)))) for _ in range(count)]
    return chance.choice((" ", ",", "\t", ";")).join(numbers).encode()


def _pieces(chance: random.Random) -> bytes:
    pieces = (
        "-----BEGIN CERTIFICATE-----",
        "import os; print(os.getcwd())",
        "<html><body>It works!</body></html>",
        "[section]",
        "name: value",
        "    return 0;",
        "+---------+-------+",
        "| id | name |",
        "0000000: 7f45 4c46 0201 0100 0000 0000 0000 0000  .ELF............",
        "PID USER PR NI VIRT RES SHR S %CPU %MEM TIME+ COMMAND",
        "tcp 0 0 0.0.0.0:22 0.0.0.0:* LISTEN",
        "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=0.045 ms",
        "Dear Sir or Madam,",
        "2024-05-17",
        "10:05:03",
        "....................................................... done",
        "diff --git a/x b/x",
        "@@ -1,3 +1,4 @@",
        "warning: unused variable: `x`",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  empty",
    )
    return chance.choice(pieces).encode()
