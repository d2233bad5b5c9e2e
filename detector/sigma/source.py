"""Rule sources as values: what is read from files once, and travels to every worker."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.config import Limits
from detector.documents import DocumentError, read_documents
from detector.errors import ConfigError

_SUFFIXES = (".yml", ".yaml")
_TEST_SUFFIXES = (".test.yml", ".test.yaml")


@dataclass(frozen=True, slots=True)
class RuleSource:
    """The text of a rule file, and the path by which errors name it."""

    path: str
    text: bytes


def read_sources(paths: Iterable[Path], limits: Limits) -> tuple[RuleSource, ...]:
    """The rule files at the paths (files, or folders with all that is in them), sorted by path, each once.

    Rule tests (`*.test.yml`) and what is hidden (a name that begins with a dot, as Kubernetes' `..data`) are left out.
    Of a file larger than `limits.max_rule_file_bytes` just enough is read for the loader to see that it is.
    Raises ConfigError where a path does not exist or cannot be read.
    """
    found = {str(file): file for path in paths for file in _files(path)}
    return tuple(RuleSource(name, _read(file, limits.max_rule_file_bytes + 1)) for name, file in sorted(found.items()))


def read_values(path: Path | None, limits: Limits) -> dict[str, list[str]]:
    """The values of placeholders from a YAML file that maps each name to one or a list of them.

    Raises ConfigError.
    """
    if path is None:
        return {}
    text = _read(path, limits.max_rule_file_bytes + 1)
    if len(text) > limits.max_rule_file_bytes:
        raise ConfigError(f"{path}: larger than limits.max_rule_file_bytes ({limits.max_rule_file_bytes})")
    try:
        document = next(read_documents(text.decode()), None)
    except (DocumentError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from None
    values: dict[str, list[str]] = {}
    if document and not isinstance(document.value, dict):
        raise ConfigError(f"{path}: must map names to lists of values")
    for name, given in document.value.items() if document else ():
        items = given if isinstance(given, list) else [given]
        if not all(isinstance(item, (str, int, float)) for item in items):
            raise ConfigError(f"{path}:{document and document.line(name)}: {name} must be a list of texts or numbers")
        values[name] = [str(item) for item in items]
    return values


def read_pipelines(paths: Iterable[Path], limits: Limits) -> tuple[RuleSource, ...]:
    """The files of processing pipelines, in the order in which they are named. Raises ConfigError."""
    return tuple(RuleSource(str(path), _read(path, limits.max_rule_file_bytes + 1)) for path in paths)


def digest(
    sources: Sequence[RuleSource],
    values: Mapping[str, Sequence[str | int | float]],
    pipelines: Sequence[RuleSource] = (),
) -> str:
    """16 hexadecimal digits that name a rule set."""
    sha = hashlib.sha256()
    for kind in (sources, pipelines):
        sha.update(f"{len(kind)}\0".encode())
        for source in kind:
            sha.update(f"{len(source.path)} {len(source.text)} {source.path}".encode())
            sha.update(source.text)
    sha.update(repr(sorted((name, list(items)) for name, items in values.items())).encode())
    return sha.hexdigest()[:16]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif not path.is_dir():
        raise ConfigError(f"rules: {path} is neither a file nor a folder: correct rules.paths or create it")
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.endswith(_SUFFIXES) and not name.endswith(_TEST_SUFFIXES) and not name.startswith("."):
                yield Path(folder, name)


def _read(path: Path, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}): correct its path or its rights") from None
