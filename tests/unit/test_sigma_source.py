"""Finding rule files and placeholder values."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.config import Limits
from detector.errors import ConfigError
from detector.resources import builtin
from detector.sigma.source import read_sources, read_values

LIMITS = Limits(max_rule_file_bytes=1024)


class TestReadSources:
    """Rule files of folders and files."""

    def test_which(self, tmp_path: Path) -> None:
        """YAML files at any depth, sorted, each once; tests and hidden ones are left out."""
        for name in (
            "b.yml",
            "sub/a.yaml",
            "a.yml",
            "a.test.yml",
            "x.txt",
            ".hidden.yml",
            "..2024/a.yml",
            "sub/.y/z.yml",
        ):
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(name)

        found = read_sources([tmp_path, tmp_path / "b.yml"], LIMITS)

        names = [str(Path(each.path).relative_to(tmp_path)) for each in found]
        assert names == ["a.yml", "b.yml", "sub/a.yaml"]
        assert [each.text.decode() for each in found] == names

    def test_config_map(self, tmp_path: Path) -> None:
        """What Kubernetes mounts (links into a hidden folder) is read once."""
        real = tmp_path / "..2024_01"
        real.mkdir()
        (real / "rule.yml").write_text("x")
        (tmp_path / "..data").symlink_to(real)
        (tmp_path / "rule.yml").symlink_to(Path("..data", "rule.yml"))

        assert [each.path for each in read_sources([tmp_path], LIMITS)] == [str(tmp_path / "rule.yml")]

    def test_large_files(self, tmp_path: Path) -> None:
        """No more of a file is read than shows that it is too large."""
        (tmp_path / "a.yml").write_bytes(b"x" * 100_000)

        assert [len(each.text) for each in read_sources([tmp_path], LIMITS)] == [1025]

    def test_missing(self, tmp_path: Path) -> None:
        """A path that is not there is an error that names it."""
        with pytest.raises(ConfigError, match="nowhere"):
            read_sources([tmp_path / "nowhere"], LIMITS)

    def test_unreadable(self, tmp_path: Path) -> None:
        """So is one that cannot be read."""
        (tmp_path / "a.yml").symlink_to("nowhere")

        with pytest.raises(ConfigError, match=r"a\.yml: cannot be read"):
            read_sources([tmp_path], LIMITS)

    def test_builtin(self) -> None:
        """The rules that come with the program are where it looks for them."""
        assert read_sources([builtin("sigma")], Limits())


class TestReadValues:
    """The file of placeholder values."""

    def test_values(self, tmp_path: Path) -> None:
        """One value or a list of them, texts or numbers."""
        path = tmp_path / "values.yml"
        path.write_text("admins: [alice, 'bob']\nport: 22\nempty: []\n")

        assert read_values(path, LIMITS) == {"admins": ["alice", "bob"], "port": ["22"], "empty": []}
        assert read_values(None, LIMITS) == {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("- a", "map"),
            ("a: {b: c}", ":1: a"),
            ("a: 1\nb: [[x]]", ":2: b"),
            ("a: [", "YAML"),
            ("a: " + "x" * 2000, "max_rule_file_bytes"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, text: str, message: str) -> None:
        """Each is an error that says where."""
        path = tmp_path / "values.yml"
        path.write_text(text)

        with pytest.raises(ConfigError, match=message):
            read_values(path, LIMITS)
