"""The page on parsing names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from detector.config import Limits
from detector.parsing.definition import (
    AliasTables,
    Expected,
    JsonDefinition,
    JsonShape,
    ProgramDefinition,
    Recognize,
    Sample,
    TextDefinition,
)
from detector.parsing.registry import Parsers, ParserSource
from detector.parsing.samples import run_samples
from detector.parsing.values import TYPES
from tests.parsing import BUILTIN

PAGE = (Path(__file__).parents[2] / "docs" / "parsing.md").read_text(encoding="utf-8")
FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
RULES = Path(__file__).parents[2] / "rules" / "parsers"
MODELS = (AliasTables, Expected, JsonDefinition, JsonShape, ProgramDefinition, Recognize, Sample, TextDefinition)


class TestPage:
    @pytest.mark.parametrize("name", TYPES)
    def test_types(self, name: str) -> None:
        """Every type of field is there."""
        assert f"`{name}`" in PAGE

    @pytest.mark.parametrize("name", BUILTIN.definitions)
    def test_formats(self, name: str) -> None:
        """Every format has a section in the reference."""
        assert f"\n## {name}\n" in FORMATS

    @pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
    def test_keys(self, model: type[TextDefinition]) -> None:
        """Every key of a definition is there."""
        for name, field in model.model_fields.items():
            assert (field.alias or name) in PAGE

    def test_actions(self) -> None:
        """Every action that sshd's definition gives is there."""
        definition = yaml.safe_load((RULES / "sshd.yml").read_text(encoding="utf-8"))
        for message in definition["messages"]:
            actions = message["fields"]["event.action"]
            for action in actions if isinstance(actions, list) else [actions]:
                assert f"`{action['value']}`" in PAGE

    def test_example(self) -> None:
        """The example is a definition that loads, and its sample passes."""
        example = PAGE[PAGE.index("    name: shop_audit") :].split("\n\nA file may", 1)[0]
        text = "\n".join(line[4:] for line in example.splitlines())

        parsers = Parsers([ParserSource("example.yml", text)], Limits())

        assert not parsers.errors
        assert [result.differences for result in run_samples(parsers, Limits())] == [(), ()]
