"""Records to Arrow columns on one core: bytes in, typed columns out, each line made for this run and none twice.

Figures are of processor time, medians of several runs in turn with the peers. `lines_per_second`; `ratio_PEER`: to the
peer's lines per second on the same records.
- apache_combined, nginx_timed, haproxy: 11 columns and more; time, numbers and addresses typed.
- sshd: the fields of syslog and of the server's message. fortigate, cef: those of their pairs.
- cloudtrail: 12 columns, the time typed.
- auto_mixed: lines of three formats in one topic that says `auto`; `ratio_named` to the same lines by their formats.
Peers: RE2 (pyarrow), polars and Python's `re` give texts only: the groups of the format's expression, of syslog those
around the message. `re` also finds the pairs of fortigate and cef. orjson is loads and look-ups. polars,
duckdb and msgspec are compared with where they are installed.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from random import Random
from statistics import median
from time import process_time
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from detector.config import Limits
from detector.demo.cloud import Cloud
from detector.demo.generator import access_lines
from detector.demo.hosts import Hosts
from detector.demo.lines import Stamp
from detector.parsing.columns import TIME, LineColumns
from detector.parsing.json_columns import JsonColumns
from detector.parsing.registry import Parsers, compile_parsers, read_sources
from detector.window import RECORDS

Figures = dict[str, Any]

_START_US = 1_717_200_000_000_000
_BATCH = 10_000
_WEB = (
    TIME, "source.address", "source.ip", "user.name", "http.request.method", "url.original", "http.version",
    "http.response.status_code", "http.response.body.bytes", "http.request.referrer", "user_agent.original",
)  # fmt: skip
_PROXY = (
    TIME, "source.ip", "source.port", "http.request.method", "url.original", "http.response.status_code",
    "http.response.bytes", "haproxy.frontend_name", "haproxy.backend_name", "haproxy.server_name",
    "haproxy.total_time", "haproxy.termination_state",
)  # fmt: skip
_CLOUD = {
    "event.action": "eventName", "event.provider": "eventSource", "event.id": "eventID",
    "source.address": "sourceIPAddress", "source.ip": "sourceIPAddress", "user_agent.original": "userAgent",
    "cloud.region": "awsRegion", "cloud.account.id": "recipientAccountId", "error.code": "errorCode",
    "error.message": "errorMessage",
}  # fmt: skip
_PRINCIPAL = "user.id"
"""The twelfth column, in CloudTrail's `userIdentity.principalId`."""
_WITHIN = {
    "fortigate": re.compile(r'([\w.\-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]*))'),
    "cef": re.compile(r"(?:^|(?<= ))([\w.\-]+)=((?:[^\\=]|\\.)*?)(?= [\w.\-]+=|$)", re.DOTALL),
}
"""Of the pairs within the last group of a format, for Python's `re`."""
_INTEGERS = (
    "source.port",
    "http.response.status_code",
    "http.response.body.bytes",
    "http.response.bytes",
    "haproxy.total_time",
)


def run(*, short: bool) -> Figures:
    """Measure; `short`: fewer lines, and once."""
    count, runs = (4_000, 1) if short else (100_000, 5)
    for name in ("polars", "duckdb", "msgspec"):
        if importlib.util.find_spec(name) is None:
            print(f"  no {name} installed: not compared with it", file=sys.stderr)
    parsers = compile_parsers(read_sources(), limits=Limits())
    lanes = {
        "apache_combined": ("apache_combined", _WEB, list(access_lines(count, 1, _START_US))),
        "nginx_timed": ("nginx_timed", (*_WEB, "event.duration"), list(_nginx(count))),
        "haproxy": ("haproxy_http", _PROXY, list(_haproxy(count))),
        "sshd": ("syslog_rfc3164", (TIME, "host.name", "source.ip", "user.name", "event.action"), list(_sshd(count))),
        "cloudtrail": ("aws_cloudtrail", (TIME, *_CLOUD, _PRINCIPAL), list(_cloudtrail(count))),
        "fortigate": ("fortigate", (TIME, "source.ip", "destination.ip", "event.action"), list(_fortigate(count))),
        "cef": ("cef", (TIME, "source.ip", "destination.ip", "event.action"), list(_cef(count))),
    }
    figures: Figures = {}
    for name, (form, columns, lines) in lanes.items():
        if form in parsers.definitions:
            figures[name] = _lane(parsers, form, columns, lines, runs)
        else:
            print(f"  no format {form}: {name} is left out", file=sys.stderr)
    figures["auto_mixed"] = _mixed(
        parsers, [lanes[name] for name in ("apache_combined", "nginx_timed", "haproxy")], runs
    )
    return figures


def _lane(parsers: Parsers, form: str, columns: Sequence[str], lines: list[bytes], runs: int) -> Figures:
    ways: dict[str, Callable[[], object]] = {"": _ours(parsers, form, columns, lines)}
    text = parsers.text.get(form)
    if text is not None:
        pattern = text.definition.pattern
        ways["re2"] = lambda: [
            pc.extract_regex(pa.array(part, pa.string()), pattern=f"^(?s:{pattern})$") for part in _parts(lines)
        ]
        # Python has no \x{…}; the notation is otherwise the same in these patterns.
        expression = re.compile(re.sub(r"\\x\{(\w+)\}", lambda code: chr(int(code[1], 16)), pattern), re.DOTALL)
        within = _WITHIN.get(form)
        ways["re"] = lambda: [[_matched(expression, within, line.decode()) for line in part] for part in _parts(lines)]
        if importlib.util.find_spec("polars") is not None:
            ways["polars"] = _by_polars(pattern, lines)
    else:
        ways |= {name: _each(way, lines) for name, way in _json_peers().items()}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            seconds[name].append(_seconds(way))
    ours = median(seconds.pop(""))
    ratios = {f"ratio_{name}": round(median(taken) / ours, 2) for name, taken in seconds.items()}
    return {
        "lines_per_second": round(len(lines) / ours),
        "bytes_per_line": sum(map(len, lines)) // len(lines),
        **ratios,
    }


def _matched(expression: re.Pattern[str], within: re.Pattern[str] | None, line: str) -> object:
    match = expression.fullmatch(line)
    return within.findall(match[match.re.groups]) if match and within else match


def _by_polars(pattern: str, lines: list[bytes]) -> Callable[[], object]:
    import polars as pl

    texts = [[line.decode() for line in part] for part in _parts(lines)]
    return lambda: [pl.Series(part).str.extract_groups(f"^(?s:{pattern})$") for part in texts]


def _mixed(parsers: Parsers, lanes: Sequence[tuple[str, Sequence[str], list[bytes]]], runs: int) -> Figures:
    lines = [line for _, _, each in lanes for line in each[: len(each) // 3]]
    Random(1).shuffle(lines)
    auto = _ours(parsers, "auto", _WEB, lines)
    named = [_ours(parsers, form, _WEB, each[: len(each) // 3]) for form, _, each in lanes]
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(_seconds(auto))
        theirs.append(sum(map(_seconds, named)))
    return {
        "lines_per_second": round(len(lines) / median(ours)),
        "ratio_named": round(median(theirs) / median(ours), 2),
    }


def _ours(parsers: Parsers, form: str, columns: Sequence[str], lines: list[bytes]) -> Callable[[], object]:
    reader: LineColumns | JsonColumns
    if form in parsers.json:
        reader = JsonColumns(parsers, form, columns, Limits())
    else:
        reader = LineColumns(parsers, form, columns, [name for name in columns if name in _INTEGERS], Limits())
    batches = [_records(part) for part in _parts(lines)]
    for batch in batches[:2]:  # kinds of records are learnt
        assert reader.read(batch).num_rows >= batch.num_rows
    return lambda: [reader.read(batch) for batch in batches]


def _each(way: Callable[[list[bytes]], object], lines: list[bytes]) -> Callable[[], object]:
    return lambda: [way(part) for part in _parts(lines)]


def _json_peers() -> dict[str, Callable[[list[bytes]], object]]:
    """What others need for the same columns, the time as text."""
    peers: dict[str, Callable[[list[bytes]], object]] = {"orjson": _looked_up}
    if importlib.util.find_spec("msgspec"):
        peers["msgspec"] = _msgspec()
    if importlib.util.find_spec("duckdb"):
        peers["duckdb"] = _duckdb()
    return peers


def _msgspec() -> Callable[[list[bytes]], object]:
    """Into objects of the fields that are wanted, the others passed over."""
    import msgspec

    identity = msgspec.defstruct("Identity", [("principalId", str | None, None)])
    keys = dict.fromkeys((*_CLOUD.values(), "eventTime"))
    event = msgspec.defstruct(
        "Event", [*((key, str | None, None) for key in keys), ("userIdentity", identity | None, None)]
    )
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(event).decode

    def read(lines: list[bytes]) -> pa.RecordBatch:
        events = [decode(line) for line in lines]
        columns = {name: [getattr(each, key) for each in events] for name, key in _CLOUD.items()}
        columns[TIME] = [each.eventTime for each in events]
        columns[_PRINCIPAL] = [each.userIdentity.principalId if each.userIdentity else None for each in events]
        return pa.RecordBatch.from_pydict(columns)

    return read


def _duckdb() -> Callable[[list[bytes]], object]:
    """In one query with all paths, on one thread."""
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    paths = [f"$.{key}" for key in (*_CLOUD.values(), "eventTime", "userIdentity.principalId")]
    query = f"SELECT json_extract_string(line, {paths}) AS found FROM lines"
    columns = ", ".join(f"found[{place + 1}]" for place in range(len(paths)))

    def read(lines: list[bytes]) -> object:
        connection.register("lines", pa.table({"line": pa.array([line.decode() for line in lines])}))
        return connection.sql(f"SELECT {columns} FROM ({query})").to_arrow_table()

    return read


def _looked_up(lines: Iterable[bytes]) -> pa.RecordBatch:
    events = [orjson.loads(line) for line in lines]
    columns = {name: [event.get(key) for event in events] for name, key in _CLOUD.items()}
    columns[TIME] = [event.get("eventTime") for event in events]
    columns[_PRINCIPAL] = [event.get("userIdentity", {}).get("principalId") for event in events]
    return pa.RecordBatch.from_pydict(columns)


def _parts(lines: list[bytes]) -> Iterable[list[bytes]]:
    return (lines[start : start + _BATCH] for start in range(0, len(lines), _BATCH))


def _records(values: Sequence[bytes]) -> pa.RecordBatch:
    count = len(values)
    columns = {"span": [0] * count, "offset": range(count), "timestamp": [_START_US // 1_000] * count}
    arrays = [pa.array(columns[name], RECORDS.field(name).type) for name in columns]
    empty = pa.nulls(count, pa.binary())
    return pa.RecordBatch.from_arrays([*arrays, empty, pa.array(values, pa.binary()), empty], schema=RECORDS)


def _nginx(count: int) -> Iterable[bytes]:
    random = Random(2)
    for line in access_lines(count, 2, _START_US):
        yield b"%b %.3f %.3f" % (line, random.random(), random.random())


def _haproxy(count: int) -> Iterable[bytes]:
    random = Random(3)
    stamp = Stamp()
    for number, line in enumerate(access_lines(count, 3, _START_US)):
        stamp.set(_START_US + number * 1_000)
        request = line.split(b'"')[1].decode()
        seconds = number // 1_000
        at = f"01/Jun/2024:{seconds // 3_600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{number % 1_000:03}"
        address = ".".join(str(1 + int(random.random() * 254)) for _ in range(4))
        times = "/".join(str(int(random.random() * 300)) for _ in range(5))
        yield (
            f"{address}:{1_024 + int(random.random() * 60_000)} [{at}] www~ app/app{number % 7} {times} 200 "
            f'{int(random.random() * 90_000)} - - ---- {number % 90}/{number % 80}/3/1/0 0/0 "{request}"'
        ).encode()


def _sshd(count: int) -> Iterable[bytes]:
    hosts, stamp = Hosts(Random(4)), Stamp()
    for number in range(count):
        stamp.set(_START_US + number * 1_000)
        yield hosts.line(stamp).encode()


def _cloudtrail(count: int) -> Iterable[bytes]:
    cloud, stamp = Cloud(Random(5)), Stamp()
    for number in range(count):
        stamp.set(_START_US + number * 1_000)
        yield cloud.event(stamp).encode()


def _fortigate(count: int) -> Iterable[bytes]:
    random = Random(6)
    for number in range(count):
        address = ".".join(str(1 + int(random.random() * 254)) for _ in range(4))
        yield (
            f'date=2024-06-01 time=00:{number // 60 % 60:02}:{number % 60:02} devname="fw-1" devid="FG100E{number:08}" '
            f'logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root" '
            f'eventtime={1_717_200_000 + number}000000000 tz="+0000" srcip={address} srcport={number % 60_000} '
            f'srcintf="port1" dstip=203.0.113.{number % 250} dstport=443 dstintf="wan1" policyid=7 sessionid={number} '
            f'proto=6 action="accept" service="HTTPS" sentbyte={int(random.random() * 1e6)} rcvdbyte={number * 3}'
        ).encode()


def _cef(count: int) -> Iterable[bytes]:
    random = Random(7)
    for number in range(count):
        address = ".".join(str(1 + int(random.random() * 254)) for _ in range(4))
        yield (
            f"CEF:0|Vendor|Gateway|7.{number % 9}|100{number % 90}|Connection accepted|3|"
            f"rt={_START_US // 1_000 + number} "
            f"src={address} spt={number % 60_000} dst=203.0.113.{number % 250} dpt=443 proto=TCP act=accept "
            f"in={int(random.random() * 1e6)} out={number * 3} externalId={number} msg=rule {number % 40} matched"
        ).encode()


def _seconds(function: Callable[[], object]) -> float:
    started = process_time()
    function()
    return process_time() - started
