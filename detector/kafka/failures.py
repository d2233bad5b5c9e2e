"""What can stop a reader. Each names topic, partition and offset, so that the driver can decide about the partition."""

from __future__ import annotations

from detector.errors import DetectorError
from detector.window import Broken


class ReadError(DetectorError):
    """A partition cannot be read on; everything before the offset was handed over."""

    def __init__(self, topic: str, partition: int, offset: int, message: str) -> None:
        super().__init__(f"{topic}-{partition} at offset {offset}: {message}")
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.message = message

    def __reduce__(self) -> tuple[object, ...]:  # it crosses process boundaries
        return type(self), (self.topic, self.partition, self.offset, self.message)


class OffsetOutOfRange(ReadError):  # noqa: N818 -- the name that Kafka gives it
    """The partition does not have the offset: retention removed it, or it is beyond the end."""


class PartitionGone(ReadError):  # noqa: N818
    """The topic or partition was deleted, or the topic made anew under the same name."""


class BrokenError(ReadError):
    """Something that was stored cannot be decoded; reading can go on at `broken.end`."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(broken.topic, broken.partition, broken.start, broken.reason)
        self.broken = broken

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.broken,)


class CorruptBatch(BrokenError):  # noqa: N818
    """A record batch fails its checksum, cannot be decompressed, or has a header that cannot be."""


class MalformedRecord(BrokenError):  # noqa: N818
    """A record in a batch with a valid checksum is not as the format asks.

    A reader that isolates hands over the record alone where its length makes sense; otherwise it is the whole batch.
    """
