"""Attempts in sshd's log as records for rules: outcome, user, source_address, method, message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.kit.sshd.attempts import SshdAttempts
from brain.kit.sshd.journal import SshdReader
from brain.kit.sshd.lines import SshdLine
from brain.kit.sshd.times import moment_of

MOST_REPEATS = 1_000
"""Records that are made of one line `message repeated N times` at most."""


class SshdRecords:
    """Makes records of lines, in the order in which they were written."""

    def __init__(self) -> None:
        self._reader = SshdReader()
        self._attempts = SshdAttempts()

    def records(self, text: str, changed_at: float) -> list[tuple[float | None, Mapping[str, Any]]] | None:
        """The time and the fields of each attempt that the line tells of; None for what is no line of a log.

        A time without a year is not after `changed_at`, when the log was last written, in Unix seconds.
        """
        lines = self._reader.read(text)
        return None if lines is None else [record for line in lines for record in self._of_line(line, changed_at)]

    def _of_line(self, line: SshdLine, changed_at: float) -> list[tuple[float | None, Mapping[str, Any]]]:
        at = moment_of(line.time, changed_at)
        return [
            (
                at,
                {
                    "outcome": one.outcome,
                    "user": one.user,
                    "source_address": one.address,
                    "method": one.method,
                    "host": line.host,
                    "message": line.message,
                },
            )
            for one in self._attempts.take(line).attempts
            for _ in range(min(one.times, MOST_REPEATS))
        ]
