"""What is installed: the package as a wheel."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector import __version__

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel that the build backend makes of the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-c", "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as file:
        yield file


class TestWheel:
    @pytest.mark.parametrize(("source", "inside"), [("detector", "detector"), ("rules", "detector/_rules")])
    def test_complete(self, wheel: zipfile.ZipFile, source: str, inside: str) -> None:
        """Every module and every built-in rule and parser is in it, and nothing else of the repository."""
        names = {name for name in wheel.namelist() if name.startswith(f"{inside}/")}
        expected = {
            f"{inside}/{path.relative_to(ROOT / source)}"
            for path in (ROOT / source).rglob("*")
            if path.suffix in {".py", ".yml", ".json"}
        }

        assert len(expected) > 20
        assert expected <= names
        assert {name.split("/")[0] for name in wheel.namelist()} == {"detector", f"detector-{__version__}.dist-info"}

    def test_licence(self, wheel: zipfile.ZipFile) -> None:
        """Licence and notice travel with it."""
        names = {Path(name).name for name in wheel.namelist() if "/licenses/" in name}

        assert names == {"LICENSE", "NOTICE"}

    def test_finds_its_rules(self, wheel: zipfile.ZipFile, tmp_path: Path) -> None:
        """Installed, away from the repository, the program finds its rules."""
        wheel.extractall(tmp_path / "installed")
        script = (
            f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
            "from detector.resources import builtin\n"
            "print(builtin('sigma'), len(list(builtin('sigma').rglob('*.yml'))))"
        )
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
        folder, count = done.stdout.rsplit(maxsplit=1)

        assert Path(folder) == tmp_path / "installed" / "detector" / "_rules" / "sigma"
        assert int(count) > 0

    def test_version(self, wheel: zipfile.ZipFile) -> None:
        """Package, code and changelog agree on the version."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

        assert project["version"] == __version__
        assert f"Version: {__version__}\n" in wheel.read(f"detector-{__version__}.dist-info/METADATA").decode()
