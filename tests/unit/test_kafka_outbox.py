"""The outbox: windows in order, every message accounted for, none larger than its topic takes."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.record.default_records import DefaultRecordBatchBuilder

from detector.alerts.dead_letters import dead_letter, parse_dead_letter
from detector.errors import DeliveryError
from detector.kafka import outbox as outbox_module
from detector.kafka.outbox import Outbox
from detector.kafka.producer import message_bytes
from detector.metrics import DeadLetterReason
from detector.window import Message
from tests.kafka_stubs import StubSender

TP = TopicPartition("logs", 0)
ROLES = {"alerts": "the-alerts", "dead_letters": "the-dead-letters"}


def alert(value: bytes = b"{}") -> Message:
    return Message("alerts", b"k", value, (("level", b"high"),), 12)


def make_outbox(alerts: int = 1_000_000, dead_letters: int = 8_000_000, timeout_s: float = 60) -> Outbox:
    outbox = Outbox(ROLES, max_windows=4, timeout_s=timeout_s)
    outbox.limits = {"the-alerts": alerts, "the-dead-letters": dead_letters}
    return outbox


class TestOrder:
    def test_in_order(self) -> None:
        """A window settles only after those before it, however early its own messages are acknowledged."""
        outbox, sender = make_outbox(), StubSender()
        outbox.add({TP: 1}, [alert()])
        outbox.add({TP: 2}, [alert()])
        outbox.add({TP: 3}, [])
        outbox.send(sender)
        sender.pending[1].succeed()
        early = list(outbox.settle())
        sender.pending[0].succeed()
        settled = [window.offsets for window in outbox.settle()]

        assert early == []
        assert settled == [{TP: 1}, {TP: 2}, {TP: 3}]
        assert len(outbox) == 0

    def test_every_message_counts(self) -> None:
        """A window does not settle while one of its messages is under way."""
        outbox, sender = make_outbox(), StubSender()
        outbox.add({TP: 1}, [alert(), alert(), alert()])
        outbox.send(sender)
        for pending in (sender.pending[0], sender.pending[2]):
            pending.succeed()

        assert list(outbox.settle()) == []
        assert outbox.under_way

    def test_roles(self) -> None:
        """Messages go to the topics of their roles."""
        outbox, sender = make_outbox(), StubSender()
        outbox.add({TP: 1}, [alert(), Message("dead_letters", None, b"raw", ())])
        outbox.send(sender)

        assert [topic for topic, *_ in sender.sent] == ["the-alerts", "the-dead-letters"]


class TestFailure:
    def test_failed(self) -> None:
        """A message that failed fails the delivery."""
        outbox, sender = make_outbox(), StubSender()
        outbox.add({TP: 1}, [alert()])
        outbox.send(sender)
        sender.pending[0].fail(RuntimeError("refused"))

        with pytest.raises(DeliveryError, match="refused"):
            list(outbox.settle())

    def test_overdue(self) -> None:
        """So does one that is neither acknowledged nor refused in time."""
        outbox, sender = make_outbox(timeout_s=0), StubSender()
        outbox.add({TP: 1}, [alert()])
        outbox.send(sender)

        with pytest.raises(DeliveryError, match="not acknowledged within"):
            list(outbox.settle())

    def test_unknown_topic(self) -> None:
        """A topic that is not known is waited for, not sent to; in the end the error names it."""
        outbox, sender = make_outbox(timeout_s=0), StubSender()
        sender.unknown = {"the-alerts"}
        outbox.add({TP: 1}, [alert()])
        sent = outbox.send(sender)

        assert sent == 0
        with pytest.raises(DeliveryError, match="'the-alerts' cannot be sent to"):
            list(outbox.settle())

    def test_order_over_an_unknown_topic(self) -> None:
        """While a topic is looked up, nothing behind its message is sent either."""
        outbox, sender = make_outbox(), StubSender()
        sender.unknown = {"the-dead-letters"}
        outbox.add({TP: 1}, [alert(b"1"), Message("dead_letters", None, b"2", ()), alert(b"3")])
        first = outbox.send(sender)
        sender.unknown = set()
        second = outbox.send(sender)

        assert (first, second) == (1, 2)
        assert [value for _, _, value, _ in sender.sent] == [b"1", b"2", b"3"]


class TestBounds:
    def test_room_for_windows(self) -> None:
        """There is room for so many windows."""
        outbox = make_outbox()
        for position in range(4):
            assert outbox.room
            outbox.add({TP: position}, [alert()])

        assert not outbox.room

    def test_room_for_bytes(self) -> None:
        """There is room for so many bytes, and again once they are acknowledged."""
        outbox, sender = make_outbox(dead_letters=8_000_000), StubSender()
        outbox.add({TP: 1}, [Message("dead_letters", None, b"x" * outbox_module.MAX_BYTES, ())])
        full = not outbox.room
        outbox.send(sender)
        sender.pending[0].succeed()
        list(outbox.settle())

        assert full
        assert outbox.room

    def test_a_turn_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Sending stops when the turn's time is over, and goes on in the next one, within the same window."""
        outbox, sender = make_outbox(), StubSender()
        outbox.add({TP: 1}, [alert(), alert()])
        monkeypatch.setattr(outbox_module, "SEND_S", -1)
        first = outbox.send(sender)
        monkeypatch.setattr(outbox_module, "SEND_S", 1)

        assert first == 0
        assert outbox.send(sender) == 2


class TestSizes:
    @given(
        key=st.none() | st.binary(max_size=200),
        value=st.binary(max_size=2_000),
        headers=st.lists(st.tuples(st.text(max_size=50), st.binary(max_size=200)), max_size=8),
    )
    def test_upper_bound(self, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        """The estimate is never below what the message takes in a batch of its own."""
        builder = DefaultRecordBatchBuilder(
            magic=2,
            compression_type=0,
            is_transactional=True,
            producer_id=1,
            producer_epoch=1,
            base_sequence=1,
            batch_size=1,
        )
        builder.append(0, 1_700_000_000_000, key, value, headers)

        assert len(builder.build()) <= message_bytes(key, value, tuple(headers)) <= len(builder.build()) + 200

    def test_alert_too_large(self) -> None:
        """It becomes a dead letter with reason and coordinates, and keeps its bytes."""
        outbox, sender = make_outbox(alerts=1_000), StubSender()
        source = {"topic": "logs", "partition": 3, "offset": 77, "ordinal": 1}
        value = orjson.dumps({"source": source, "x": "y" * 2_000})
        outbox.add({TP: 1}, [alert(value)])
        outbox.send(sender)
        ((topic, key, sent, headers),) = sender.sent
        letter = parse_dead_letter(key, sent, headers)

        assert topic == "the-dead-letters"
        assert letter.reason is DeadLetterReason.ALERT_TOO_LARGE
        assert (letter.topic, letter.partition, letter.offset, letter.ordinal) == ("logs", 3, 77, 1)
        assert (letter.value, letter.timestamp_ms) == (value, 12)
        assert letter.headers == (("level", b"high"),)

    @given(value=st.sampled_from([b"", b"no json", b"[]", b'{"source":7}', b'{"source":{"partition":"x"}}']))
    def test_alert_of_unknown_origin(self, value: bytes) -> None:
        """An alert that does not tell its coordinates is a dead letter without them."""
        outbox, sender = make_outbox(alerts=10), StubSender()
        outbox.add({TP: 1}, [alert(value)])
        outbox.send(sender)
        ((_, key, sent, headers),) = sender.sent

        assert parse_dead_letter(key, sent, headers).offset == -1

    @given(size=st.integers(0, 5_000), limit=st.integers(700, 3_000))
    def test_dead_letter_too_large(self, size: int, limit: int) -> None:
        """A dead letter that is too large for its topic is cut, and says so."""
        outbox, sender = make_outbox(dead_letters=limit), StubSender()
        letter = dead_letter(
            DeadLetterReason.UNPARSED,
            "why",
            topic="logs",
            partition=3,
            offset=77,
            timestamp_ms=5,
            key=None,
            value=b"x" * size,
            headers=(),
            max_bytes=1_000_000,
        )
        outbox.add({TP: 1}, [letter])
        outbox.send(sender)
        ((_, key, sent, headers),) = sender.sent
        read = parse_dead_letter(key, sent, headers)

        assert message_bytes(key, sent, headers) <= limit
        assert (read.reason, read.offset) == (DeadLetterReason.UNPARSED, 77)
        assert read.truncated == (() if len(sent or b"") == size else ("value",))
