"""What a report is held against, read from YAML that anyone may edit: controls, and objectives."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detector.documents import DocumentError, read_documents
from detector.errors import ConfigError
from detector.resources import builtin

MAX_BYTES = 1 << 20


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Control(_Model):
    """A control, and the checks that say something about it."""

    framework: str
    control: str
    title: str
    checks: tuple[str, ...] = Field(min_length=1)


class Controls(_Model):
    """The controls of a file. retention_days: for which logs must be held."""

    retention_days: int = Field(default=365, ge=1)
    controls: tuple[Control, ...]


class Objective(_Model):
    """What a service promises.

    service: its name, or `*` for each. percent: of events that must be good. latency_ms: good means at most so slow;
    None: good means without failure.
    """

    name: str
    service: str = "*"
    percent: float = Field(default=99.9, gt=0, lt=100)
    period_days: int = Field(default=30, ge=1, le=400)
    latency_ms: float | None = Field(default=None, gt=0)

    @property
    def budget(self) -> float:
        """The share of events that may be bad."""
        return 1 - self.percent / 100

    def burn(self, events: int, bad: int) -> float:
        """How many times faster than allowed the budget is used."""
        return bad / events / self.budget if events else 0.0


class _Objectives(_Model):
    objectives: tuple[Objective, ...]


DEFAULT_OBJECTIVES = (Objective(name="availability"),)
_File = TypeVar("_File", bound=BaseModel)


def read_controls(path: Path | None, checks: Collection[str]) -> Controls:
    """The controls of a YAML file; None: of the one that comes with the program. checks: those that there are.

    Raises:
        ConfigError: it cannot be read, is no such file, or names a check that there is not.
    """
    path = path or builtin("compliance") / "controls.yml"
    found = _read(path, Controls)
    for control in found.controls:
        for check in control.checks:
            if check not in checks:
                known = ", ".join(checks)
                raise ConfigError(f"{path}: {control.framework} {control.control}: no check {check}; there are {known}")
    return found


def read_objectives(path: Path | None) -> tuple[Objective, ...]:
    """The objectives of a YAML file; None: each service is available for 99.9 % of 30 days.

    Raises:
        ConfigError: it cannot be read, or is no such file.
    """
    return DEFAULT_OBJECTIVES if path is None else _read(path, _Objectives).objectives


def _read(path: Path, model: type[_File]) -> _File:
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES >> 20} MiB")
    try:
        documents = list(read_documents(text.decode()))
    except DocumentError as error:
        raise ConfigError(f"{path}:{error.line}: {error.message}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8") from error
    if len(documents) != 1:
        raise ConfigError(f"{path}: holds {len(documents)} documents, one is expected")
    try:
        return model.model_validate(documents[0].value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = tuple(first["loc"])
        where = ".".join(map(str, place))
        raise ConfigError(f"{path}:{documents[0].line(*place)}: {where}: {first['msg']}") from error
