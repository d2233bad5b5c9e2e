from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from detector.alerts.ids import alert_id, record_source

PARTS = st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), st.integers(0, 2**62))


class TestAlertId:
    def test_is_the_documented_formula(self) -> None:
        """Anyone can compute an id with nothing but SHA-256 and a JSON writer."""
        text = '["6a2c4f5e-0000-4000-8000-000000000001","kafka:web:3",41,2]'

        assert hashlib.sha256(text.encode()).hexdigest() == alert_id(
            "6a2c4f5e-0000-4000-8000-000000000001", "kafka:web:3", 41, 2
        )

    def test_is_stable_over_releases(self) -> None:
        """A release that changed ids would double every alert of a record that is read again."""
        assert alert_id("key", "kafka:web:0", 0, 0) == (
            "45124217f4bca8e03d192cec16a3e3703a2ff5ab96b18492573ff677dd9c0705"
        )

    @given(PARTS, PARTS, st.integers(0, 99), st.integers(0, 99))
    def test_differs_where_any_part_differs(
        self, one: tuple[str, str, int], two: tuple[str, str, int], first: int, second: int
    ) -> None:
        """No two tuples run together into the same text, whatever quotes and commas they hold."""
        equal = alert_id(*one, first) == alert_id(*two, second)

        assert equal == ((one, first) == (two, second))


class TestKafkaSource:
    def test_names_topic_and_partition(self) -> None:
        """A topic's name holds no colon, so the source can be taken apart again."""
        assert record_source("web.access", 7) == "kafka:web.access:7"
