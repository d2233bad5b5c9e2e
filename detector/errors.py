"""All errors that a user can cause or meet. Each says what, where, and how to mend it.

The exit codes are part of the command line's contract (`docs/commands.md`).
"""

from __future__ import annotations


class DetectorError(Exception):
    """Base of all errors of this program; an instance of it is never a bug in the program."""

    exit_code = 1


class ConfigError(DetectorError):
    """A setting is unknown, missing or wrong."""

    exit_code = 2


class RuleError(DetectorError):
    """A rule, filter or rule test cannot be loaded; `where` is `file:line` or `file`.

    The other rules of the set run without it. `code` is that of `detector rules check` (`docs/rule-checks.md`).
    """

    exit_code = 3

    def __init__(self, message: str, *, where: str, code: str = "") -> None:
        super().__init__(f"{where}: {message}")
        self.message = message
        self.where = where
        self.code = code


class ParserError(DetectorError):
    """A parser definition cannot be loaded; `where` is `file:line` or `file`."""

    exit_code = 3

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(f"{where}: {message}")
        self.message = message
        self.where = where


class EnrichmentError(DetectorError):
    """A database, list or table of the enrichment cannot be used; `where` is `file:line` or `file`."""

    exit_code = 3

    def __init__(self, message: str, *, where: str) -> None:
        super().__init__(f"{where}: {message}")
        self.message = message
        self.where = where


class KafkaSetupError(DetectorError):
    """The cluster lacks what the service needs (a topic, a right), or a topic is set up unsoundly."""

    exit_code = 4


class UnreadableError(DetectorError):
    """`backfill`: some files could not be read, or not to their end; the others were processed."""

    exit_code = 9


class IntegrityError(DetectorError):
    """`lake verify`: files of a lake are not as they were when it was sealed."""

    exit_code = 10


class DeliveryError(DetectorError):
    """What a window caused could not be delivered; its epoch is dropped and read again."""

    exit_code = 5


class FencedError(DetectorError):
    """Another process took over this one's identity (group instance or transactional id): exit, never retry."""

    exit_code = 6


class NoProgressError(DetectorError):
    """Several epochs in a row failed without a committed record: the supervisor should start a new process."""

    exit_code = 7


class UnavailableError(DetectorError):
    """The cluster does not answer in time, or a partition has no leader: try again with back-off."""

    exit_code = 8
