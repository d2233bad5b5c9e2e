"""A headless Chromium for tests: the one on PATH, else Debian's package, unpacked below .cache, not installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(__file__).parents[1] / ".cache" / "chromium"
_APT = ("apt-get", "-o", "Debug::NoLocking=1", "-o", "APT::Install-Recommends=0")
_FONTS = """<?xml version="1.0"?>
<fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir></fontconfig>"""


class UnavailableError(Exception):
    """There is no Chromium, and none can be had; says why."""


@dataclass(frozen=True)
class Chromium:
    """A program to start, and the environment that it needs."""

    executable: Path
    environment: dict[str, str]


def chromium() -> Chromium:
    """Find or fetch a Chromium that starts.

    Raises:
        UnavailableError: there is none.
    """
    installed = shutil.which("chromium")
    found = Chromium(Path(installed), {}) if installed else _unpacked()
    try:
        told = subprocess.run(
            [found.executable, "--version"],
            env=os.environ | found.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"{found.executable} does not start: {error}") from error
    if told.returncode:
        raise UnavailableError(f"{found.executable} does not start: {told.stderr.strip()[-500:]}")
    return found


def _unpacked() -> Chromium:
    root = CACHE / "root"
    if not (CACHE / "complete").exists():
        _fetch(root)
    libraries = list(root.glob("usr/lib/*-linux-gnu*"))
    folders = [*libraries, *root.glob("lib/*-linux-gnu*"), *(path / "pulseaudio" for path in libraries)]
    fonts = CACHE / "fonts.conf"
    fonts.write_text(_FONTS.format(fonts=root / "usr/share/fonts", cache=CACHE / "fonts"))
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, folders)), "FONTCONFIG_FILE": str(fonts)}
    return Chromium(root / "usr/lib/chromium/chromium", environment)


def _fetch(root: Path) -> None:
    """Unpack Debian's chromium and what it needs that is not installed."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise UnavailableError("no chromium on PATH, and no apt-get to fetch one")
    packages = CACHE / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0 and not _names():
        _run(["apt-get", "update", "-qq"], CACHE)
    names = _names()
    if not names:
        raise UnavailableError("apt-get knows no package chromium")
    _run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *names], packages)
    for package in sorted(packages.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(package), str(root)], CACHE)
    shutil.rmtree(packages)
    (CACHE / "complete").touch()


def _names() -> list[str]:
    """Packages that an installation would bring."""
    asked = [*_APT, "install", "--simulate", "chromium"]
    told = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    return re.findall(r"^Inst (\S+)", told.stdout, re.MULTILINE)


def _run(command: list[str], folder: Path) -> None:
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"{command[0]}: {str(error.stderr).strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} takes more than 300 s") from error
