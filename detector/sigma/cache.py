"""Rule sets that are ready to run, kept on disk, so that a host compiles each once.

A file is named by the rule set and by the code that compiled it, and begins with the SHA-256 of what follows. One that
is damaged, of other code, or of another user is as good as none: the rules are compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import stat
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import structlog

from detector.config import Limits
from detector.correlation.rule import Correlation
from detector.errors import RuleError
from detector.sigma import loading
from detector.sigma.engine import Engine
from detector.sigma.loading import compile_rules
from detector.sigma.modifiers import Values
from detector.sigma.rule import Rule
from detector.sigma.ruleset import RuleSet
from detector.sigma.source import RuleSource, digest
from detector.suppression.policies import Policies

MAX_FILES = 4
"""Rule sets that are kept, the latest ones."""

_WORTH_S = 1.0
"""What compiling takes at least for its result to be kept."""
_SHA_BYTES = 32

_Kept = tuple[
    tuple[Rule, ...],
    list[tuple[str, str, str]],
    str,
    tuple[Correlation, ...],
    Policies,
    Engine,
    dict[bytes, tuple[Rule, ...]],
]

log = structlog.get_logger()


def prepared_rules(
    sources: Sequence[RuleSource],
    *,
    values: Values | None = None,
    limits: Limits,
    pipelines: Sequence[RuleSource] = (),
    folder: Path | None = None,
) -> RuleSet:
    """What `compile_rules` gives, with its engine prepared; from the disk where it is there.

    folder: where it is kept; by default beside numba's kernels (NUMBA_CACHE_DIR), else below the user's cache folder.
    Raises RuleError for a pipeline that cannot be used, and nothing for what is on the disk.
    """
    name = hashlib.sha256(repr((digest(sources, values or {}, pipelines), limits, _code_sha())).encode()).hexdigest()[
        :32
    ]
    path = (folder or _folder()) / f"{name}.rules"
    found = _read(path)
    if found is not None:
        return found
    started = time.perf_counter()
    rules = compile_rules(sources, values=values, limits=limits, pipelines=pipelines)
    rules.engine.prepare()
    if time.perf_counter() - started >= _WORTH_S:
        _write(path, rules)
    return rules


def _folder() -> Path:
    kernels = os.environ.get("NUMBA_CACHE_DIR")
    if kernels:
        return Path(kernels) / "rules"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "detector" / "rules"


def _read(path: Path) -> RuleSet | None:
    try:
        if not _is_ours(path.parent) or not _is_ours(path):
            return None
        data = memoryview(path.read_bytes())
        if hashlib.sha256(data[_SHA_BYTES:]).digest() != data[:_SHA_BYTES]:
            return None
        kept: _Kept = pickle.loads(data[_SHA_BYTES:])  # noqa: S301 -- of this user and this code, as was made sure
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 -- whatever is there, the rules can be compiled
        log.warning("kept rules cannot be used, they are compiled again", path=str(path), error=str(error))
        return None
    rules, refused, sha, correlations, policies, engine, files = kept
    loading.remember(files)
    engine.remember()
    errors = tuple(RuleError(message, where=where, code=code) for message, where, code in refused)
    return RuleSet(rules, errors, sha, correlations, policies).with_engine(engine)


def _write(path: Path, rules: RuleSet) -> None:
    refused = [(error.message, error.where, error.code) for error in rules.refused]
    kept: _Kept = (
        *(rules.rules, refused, rules.sha, rules.correlations, rules.policies, rules.engine),
        loading.remembered(),
    )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent):
            return
        data = pickle.dumps(kept, pickle.HIGHEST_PROTOCOL)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(hashlib.sha256(data).digest())
            file.write(data)
        Path(file.name).replace(path)
        files = sorted(path.parent.glob("*.rules"), key=lambda each: each.stat().st_mtime, reverse=True)
        for old in files[MAX_FILES:]:
            old.unlink(missing_ok=True)
    except (OSError, RecursionError, pickle.PicklingError) as error:
        log.info("rules are not kept on disk", path=str(path), error=str(error))


def _is_ours(path: Path) -> bool:
    """Whether nobody else can have written there."""
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@lru_cache(maxsize=1)
def _code_sha() -> str:
    """Names the code that makes rule sets of sources, and what it makes them with."""
    sha = hashlib.sha256(platform.python_version().encode())
    for package in ("pysigma", "numpy", "google-re2"):
        sha.update(version(package).encode())
    root = Path(__file__).parents[1]
    parts = ("sigma", "correlation", "suppression")
    for file in sorted(file for part in parts for file in (root / part).rglob("*.py")):
        sha.update(file.read_bytes())
    for name in ("config.py", "events.py", "documents.py"):
        sha.update((root / name).read_bytes())
    return sha.hexdigest()
