"""The YAML file of settings, with the line of everything in it. A hostile or broken file is an error, never a crash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from detector.errors import ConfigError

MAX_FILE_BYTES = 256 << 10
_MAX_NODES = 20_000
_MAX_DEPTH = 32

Place = tuple[str | int, ...]


def read_file(path: Path) -> tuple[Mapping[str, Any], Mapping[Place, int]]:
    """Read a file of settings: its content, and the line of each key and list element.

    The pure Python loader on purpose: libyaml overflows the stack on deep nesting.

    Raises ConfigError with file and line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES >> 10} KiB; that is no file of settings")
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        lines = dict(_lines(node, (), path, [0])) if node else {}
        settings = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        where = f"{path}:{error.problem_mark.line + 1}" if error.problem_mark else str(path)
        raise ConfigError(f"{where}: not valid YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply") from None
    finally:
        loader.dispose()
    if settings is None:
        return {}, {}
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}:1: should be sections of settings (`kafka:` …), not {type(settings).__name__}")
    return settings, lines


def _lines(node: yaml.Node, place: Place, path: Path, seen: list[int]) -> Iterator[tuple[Place, int]]:
    seen[0] += 1
    if seen[0] > _MAX_NODES or len(place) > _MAX_DEPTH:
        raise ConfigError(f"{path}:{node.start_mark.line + 1}: too many or too deeply nested values")
    if isinstance(node, yaml.SequenceNode):
        for index, element in enumerate(node.value):
            yield (*place, index), element.start_mark.line + 1
            yield from _lines(element, (*place, index), path, seen)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = key.value if isinstance(key, yaml.ScalarNode) else None
            if name is None:
                raise ConfigError(f"{path}:{line}: a list or mapping cannot be a name")
            if name in names:
                raise ConfigError(f"{path}:{line}: {name} stands here twice; remove one")
            names.add(name)
            yield (*place, name), line
            yield from _lines(value, (*place, name), path, seen)
