"""The hash chain over a lake."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from detector.backfill import chain
from detector.errors import ConfigError


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A sealed lake of three files."""
    for name in ("a", "b", "c"):
        path = tmp_path / f"day=2026-11-24/source={name}/0.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(name.encode())
    chain.seal(tmp_path)
    return tmp_path


class TestVerify:
    def test_intact(self, lake: Path) -> None:
        """An untouched lake is whole, and ends in the link that sealing gave."""
        found = chain.verify(lake)

        assert found.whole
        assert len(found.intact) == 3
        assert chain.seal(lake) == found.head

    def test_touched(self, lake: Path) -> None:
        """Any changed, missing and added file is named."""
        a, b, c = sorted(lake.rglob("*.parquet"))
        a.write_bytes(b"x")
        b.unlink()
        (c.parent / "1.parquet").write_bytes(b"new")
        found = chain.verify(lake)

        assert (found.changed, found.missing) == ([str(a.relative_to(lake))], [str(b.relative_to(lake))])
        assert found.added == [str((c.parent / "1.parquet").relative_to(lake))]
        assert not found.whole

    @pytest.mark.parametrize("part", ["file", "sha256", "link", "bytes"])
    def test_forged_chain(self, lake: Path, part: str) -> None:
        """A changed line of the chain is found, whatever of it was changed; it cannot be sealed over."""
        path = lake / chain.NAME
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        lines[1][part] = 7 if part == "bytes" else "f" * 64
        path.write_bytes(b"\n".join(map(orjson.dumps, lines)))

        assert chain.verify(lake).broken == 2
        with pytest.raises(ConfigError, match="line 2"):
            chain.seal(lake)

    def test_forgotten_end(self, lake: Path) -> None:
        """Who removes the last file and its line is found by the last link, which was noted elsewhere."""
        head = chain.verify(lake).head
        path = lake / chain.NAME
        lines = path.read_bytes().splitlines()
        (lake / orjson.loads(lines[-1])["file"]).unlink()
        path.write_bytes(b"\n".join(lines[:-1]))
        found = chain.verify(lake)

        assert found.whole
        assert found.head != head

    def test_written_again(self, lake: Path) -> None:
        """A file that a back-fill writes again counts as it is now, once it is sealed."""
        next(lake.rglob("*.parquet")).write_bytes(b"again")
        chain.seal(lake)

        assert chain.verify(lake).whole

    def test_unsealed(self, tmp_path: Path) -> None:
        """A lake without a chain is not whole."""
        assert not chain.verify(tmp_path).whole
