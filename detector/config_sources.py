"""Where settings come from: defaults, then a YAML file, then `DETECTOR_` variables, then flags; merged per leaf.

A leaf is a field that is no section; `input.topics` is one leaf, so a later source replaces the whole list.
Whatever is unknown or wrong is reported at once, each problem in one line that says where it stands.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import orjson
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from detector.config import Config
from detector.documents import DocumentError, Lines, read_documents
from detector.errors import ConfigError

Leaf = tuple[str, ...]

PREFIX = "DETECTOR_"
MAX_FILE_BYTES = 256 << 10

_RESERVED = re.compile(
    r"DETECTOR_CONFIG"  # the file's name
    r"|DETECTOR_TEST_.*|DETECTOR_FAILPOINT(?:_FILE)?|DETECTOR_POISON"  # of the test suite
    # Kubernetes sets these in every pod for services named detector or detector-something.
    r"|DETECTOR_(?:[A-Z0-9]+_)*SERVICE_(?:HOST|PORT(?:_[A-Z0-9]+)*)"
    r"|DETECTOR_(?:[A-Z0-9]+_)*PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration and, per leaf that a source sets, where its value comes from.

    Origins are `file:NAME:LINE`, `env:NAME` and `flag`; a leaf without one has its default.
    """

    config: Config
    origins: Mapping[Leaf, str]


@dataclass(frozen=True, slots=True)
class _Given:
    place: Leaf
    value: Any
    origin: str


def load_config(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """`load` without the origins."""
    return load(path, env, overrides).config


def load(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    """Read all sources and validate the result.

    path: a YAML file; None: none.
    env: variables; None: those of the process. An empty one counts as not set.
    overrides: values of flags by dotted name (`{"http.port": 0}`).

    Raises ConfigError, one line per problem.
    """
    content, lines = _read(path) if path else ({}, {})
    given = [
        *_of_file(content, (), f"file:{path}", lines),
        *_of_environment(os.environ if env is None else env),
        *(_Given(tuple(name.split(".")), value, "flag") for name, value in (overrides or {}).items()),
    ]
    problems = [_unknown(each) for each in given if each.place not in _LEAVES]
    values: dict[str, Any] = {}
    origins: dict[Leaf, str] = {}
    for each in given:
        if each.place in _LEAVES:
            _put(values, each.place, each.value)
            origins[each.place] = each.origin
    try:
        config = Config(**values)
    except ValidationError as error:
        problems += [_wrong(detail, origins, lines) for detail in error.errors(include_url=False)]
    if problems:
        raise ConfigError("\n".join(problems))
    return Settings(config, origins)


def leaves(model: type[BaseModel] = Config, place: Leaf = ()) -> Iterator[tuple[Leaf, FieldInfo]]:
    """Every setting that is no section, with its place, in the order of declaration."""
    for name, info in model.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from leaves(info.annotation, (*place, name))
        else:
            yield (*place, name), info


def variable(leaf: Leaf) -> str:
    """Name of the environment variable of a setting."""
    return PREFIX + "__".join(leaf).upper()


def value_of(config: Config, leaf: Leaf) -> Any:
    """The value of a setting, as JSON would have it; a secret is masked."""
    value: Any = config
    for name in leaf:
        value = getattr(value, name)
    if isinstance(value, SecretStr):
        return "***"
    return orjson.loads(orjson.dumps(value, default=_plain))


_LEAVES = dict(leaves())
_SECTIONS = {leaf[:length] for leaf in _LEAVES for length in range(1, len(leaf))}


def _read(path: Path) -> tuple[dict[str, Any], Lines]:
    """The content of a file of settings, and the line of each part."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES >> 10} KiB; that is no file of settings")
        documents = list(read_documents(content.decode()))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except DocumentError as error:
        raise ConfigError(f"{path}:{error.line}: {error.message}") from None
    if not documents:
        return {}, {}
    document = documents[0]
    if len(documents) > 1:
        raise ConfigError(f"{path}:{documents[1].line()}: a second document; settings are one, remove the `---`")
    if not isinstance(document.value, dict):
        raise ConfigError(f"{path}:{document.line()}: should be sections of settings (`kafka:` and so on)")
    return document.value, document.lines


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _of_file(content: Mapping[str, Any], place: Leaf, origin: str, lines: Lines) -> Iterator[_Given]:
    for name, value in content.items():
        at = (*place, str(name))
        if at in _SECTIONS and isinstance(value, dict):
            yield from _of_file(value, at, origin, lines)
        elif at not in _SECTIONS or value is not None:
            yield _Given(at, value, f"{origin}:{lines[at]}" if at in lines else origin)


def _of_environment(env: Mapping[str, str]) -> Iterator[_Given]:
    for name, text in sorted(env.items()):
        if name.startswith(PREFIX) and text and not _RESERVED.fullmatch(name):
            place = tuple(name.removeprefix(PREFIX).lower().split("__"))
            value = _decode(_LEAVES[place], text) if place in _LEAVES else text
            yield _Given(place, value, f"env:{name}")


def _decode(info: FieldInfo, text: str) -> Any:
    """Lists are JSON, or separated by commas; all else is text, which pydantic converts."""
    if get_origin(info.annotation) is not tuple:
        return text
    if text.lstrip().startswith("["):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return text  # "should be a list" is said with the rest
    if _element(info.annotation) is not None:
        return text
    return [part.strip() for part in text.split(",") if part.strip()]


def _element(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation like `tuple[Model, ...]` or `Model | None`, if there is one."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _put(values: dict[str, Any], place: Leaf, value: Any) -> None:
    for name in place[:-1]:
        values = values.setdefault(name, {})
    values[place[-1]] = value


def _unknown(given: _Given) -> str:
    source, _, where = given.origin.partition(":")
    name = where if source == "env" else ".".join(given.place)
    start = "" if source in ("env", "flag") else f"{where}: "
    if given.place in _SECTIONS:
        parts = ", ".join(
            sorted({leaf[len(given.place)] for leaf in _LEAVES if leaf[: len(given.place)] == given.place})
        )
        return f"{start}{name} is a section; set its parts: {parts}"
    known = [*map(variable, _LEAVES)] if source == "env" else [".".join(place) for place in (*_LEAVES, *_SECTIONS)]
    return f"{start}{name}: unknown setting{_nearest(name, known)}"


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; `detector config show` lists all"


def _wrong(detail: Any, origins: Mapping[Leaf, str], lines: Lines) -> str:
    """One line for one of pydantic's errors. Values are shown where they are short and no secret."""
    place: tuple[str | int, ...] = detail["loc"]
    leaf: Leaf = next((leaf for leaf in _LEAVES if place[: len(leaf)] == leaf), ())
    kind, _, where = origins.get(leaf, "").partition(":")
    if kind == "file":
        path, _, line = where.rpartition(":")
        inner = next((lines[place[:length]] for length in range(len(place), 0, -1) if place[:length] in lines), line)
        where = f"{path}:{inner}"
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place).lstrip(".")
    start = f"{where}: {name}" if where else name
    if detail["type"] == "extra_forbidden":
        known = _element(_LEAVES[leaf].annotation) if leaf else None
        return f"{start}: unknown setting{_nearest(str(place[-1]), [*known.model_fields] if known else [])}"
    if detail["type"] == "missing":
        return f"{start}: missing"
    message = str(detail["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    message = message.replace("valid tuple", "list").replace("valid string", "text (quote it)")
    secret = bool(leaf) and "SecretStr" in str(_LEAVES[leaf].annotation)
    shown = detail["input"]
    if secret or not isinstance(shown, str | int | float | bool) or detail["type"] == "value_error":
        return f"{start}: {message}" if name else message
    return f"{start}: {message}, not {repr(shown)[:80]}"
