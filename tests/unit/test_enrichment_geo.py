"""Places and autonomous systems of addresses, from MaxMind's databases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detector.config import Enrichment
from detector.enrichment import geo
from detector.enrichment.databases import Database
from detector.enrichment.geo import Places
from detector.enrichment.loading import Checker
from detector.enrichment.networks import internal
from detector.errors import EnrichmentError
from tests import mmdb
from tests.corpora import corpus

BROKEN = "06_maxmind/bad-data"


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    folder = tmp_path_factory.mktemp("databases")
    city = mmdb.write(
        folder / "city.mmdb",
        {"203.0.113.0/24": mmdb.place("NZ", "Wellington", -41.3, 174.8), "2001:db8::/32": mmdb.place("IS", "Akureyri")},
    )
    asn = {"autonomous_system_number": 64500, "autonomous_system_organization": "Example"}
    network = mmdb.write(folder / "asn.mmdb", {"203.0.113.0/25": asn}, "GeoLite2-ASN")
    return Places([Database(city, "city.mmdb"), Database(network, "asn.mmdb")], internal())


class TestPlaces:
    def test_source(self, places: Places) -> None:
        """An address has what all databases know of it, by ECS names, and the source's plain ones."""
        (answer,) = places.look_up("source.ip", ["203.0.113.9"])

        assert answer.fields == {
            "source.geo.country_iso_code": "NZ",
            "source.geo.country_name": "NZland",
            "source.geo.city_name": "Wellington",
            "source.geo.location.lat": -41.3,
            "source.geo.location.lon": 174.8,
            "source.as.number": 64500,
            "source.as.organization.name": "Example",
            "geo_country": "NZ",
            "geo_city": "Wellington",
        }

    def test_other_side(self, places: Places) -> None:
        """Of other sides than the source there are no plain names."""
        (answer,) = places.look_up("destination.ip", ["2001:db8::1"])

        assert set(answer.fields) == {
            f"destination.geo.{name}"
            for name in ("country_iso_code", "country_name", "city_name", "location.lat", "location.lon")
        }

    def test_inside(self, places: Places) -> None:
        """What is inside is in no country: only the plain names say Internal."""
        (answer,) = places.look_up("source.ip", ["10.1.2.3"])

        assert answer.fields == {"geo_country": "Internal", "geo_city": "Internal"}

    @pytest.mark.parametrize("text", ["8.8.8.8", "no address", "", "\0", "203.0.113.9:80", "::"])
    def test_unknown(self, places: Places, text: str) -> None:
        """What no database knows, or is no address, gives nothing."""
        (answer,) = places.look_up("source.ip", [text])

        assert answer.fields == {}

    def test_types(self) -> None:
        """A value of another type than its field's is left out."""
        assert geo.fields({"country": {"iso_code": 7}, "location": {"latitude": "north"}, "subdivisions": {}}) == {}


class TestDatabase:
    def test_round_trip(self, tmp_path: Path) -> None:
        """A whole database passes, with what its metadata says."""
        database = Database(mmdb.write(tmp_path / "a.mmdb", {"0.0.0.0/1": mmdb.place("FI", "Oulu")}, built_s=99), "a")

        database.check(geo.fields)

        assert (database.kind, database.built_s, database.get("1.2.3.4")) == (
            "GeoLite2-City",
            99,
            mmdb.place("FI", "Oulu"),
        )

    @pytest.mark.parametrize("cut", [0, 1, 10, 40, 100])
    def test_cut(self, tmp_path: Path, cut: int) -> None:
        """One that lacks its end, or all, is an error that names the file."""
        path = mmdb.write(tmp_path / "a.mmdb", {"0.0.0.0/1": mmdb.place("FI", "Oulu")})
        path.write_bytes(path.read_bytes()[: -cut or 0])

        with pytest.raises(EnrichmentError, match=r"^name: is "):
            Database(path, "name").check(geo.fields)

    def test_useless(self, tmp_path: Path) -> None:
        """One that tells nothing that is used is an error, too."""
        path = mmdb.write(tmp_path / "a.mmdb", {"0.0.0.0/1": {"is_anonymous": (5, 1)}}, "GeoIP2-Anonymous-IP")

        with pytest.raises(EnrichmentError, match="tells neither places nor autonomous systems"):
            Database(path, "a").check(geo.fields)

    def test_cyclic_tree(self, tmp_path: Path) -> None:
        """A tree that leads back into itself is no tree."""
        path = mmdb.write(tmp_path / "a.mmdb", {"0.0.0.0/1": mmdb.place("FI", "Oulu")})
        path.write_bytes(bytes(8) + path.read_bytes()[8:])

        with pytest.raises(EnrichmentError, match="deeper than an address is long"):
            Database(path, "a").check(geo.fields)


class TestCorpus:
    def test_broken(self) -> None:
        """Each broken database is an error that names it."""
        paths = [*corpus(BROKEN).rglob("*.mmdb"), *corpus("06_maxmind").glob("*[Bb]roken*.mmdb")]
        paths += corpus("06_maxmind").glob("*Invalid*.mmdb")

        for path in paths:
            with pytest.raises(EnrichmentError, match=path.name):
                Checker().sources(Enrichment(geo_databases=(path,)))

        assert len(paths) >= 20

    def test_expected(self) -> None:
        """Places and networks of each expected record are those of the record."""
        for path in corpus("06_maxmind/expected").glob("GeoLite2-*.json"):
            database = Database(corpus("06_maxmind") / f"{path.stem}.mmdb", path.stem)
            database.check(geo.fields)
            for entry in json.loads(path.read_text()):
                for network, record in entry.items():
                    assert geo.fields(database.get(network.partition("/")[0]) or {}) == geo.fields(record)
