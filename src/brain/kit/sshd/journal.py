"""Reads logs of sshd line by line, also where the journal writes an entry on many lines.

`journalctl -o verbose` and `-o export` write a field a line, `-o json-pretty` an object on many lines, `-o json`,
`json-sse` and `json-seq` one on a line; macOS writes objects too (`log show --style ndjson`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from brain.kit.sshd.lines import SshdLine, is_of_a_log, read_line
from brain.typed import ready

MOST_LINES = 1_000
"""Lines of one entry at most; what is longer is no entry."""
_VERBOSE = re.compile(r"(?P<time>\S+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*(?: [+-]?\w+)?) \[s=\w+;.*\]").fullmatch
_FIELD = re.compile(r" {4}([A-Z_][A-Z0-9_]*)=(.*)|([A-Z_][A-Z0-9_]*)=(.*)", re.DOTALL).fullmatch
_NEEDED = frozenset({"MESSAGE", "SYSLOG_IDENTIFIER", "_PID", "_HOSTNAME"})


class SshdReader:
    """Lines in, in the order in which they were written; lines of sshd out."""

    def __init__(self) -> None:
        self._fields: dict[str, str] | None = None  # of the entry that is being read, a field a line
        self._is_done = False
        self._object: list[str] | None = None

    def read(self, text: str) -> list[SshdLine] | None:
        """The lines of sshd that this one completes: one, or none; None for what is no line of a log."""
        if self._fields is None and self._object is None and (line := read_line(text)) is not None:
            return [line]
        if self._object is not None:
            return self._more_of_object(text)
        if text.strip() == "{":
            self._object = [text]
            return []
        bare = text.lstrip("\x1e").removeprefix("data: ").lstrip()
        if bare.startswith("{"):
            return self._of_object(bare)
        if (head := _VERBOSE(text)) is not None:
            return self._begin({"": head["time"]})
        if (field := _FIELD(text)) is not None and (self._fields is not None or text.startswith("__CURSOR=")):
            name, value = field[1] or field[3], field[2] if field[1] else field[4]
            return self._begin({}) if name == "__CURSOR" and field[3] else self._add(name, value)
        line = read_line(text)
        if line is None:
            return [] if is_of_a_log(text) else None
        return [line]

    def finish(self) -> list[SshdLine]:
        """The entry that nothing came after."""
        found = self._ended()
        self._fields = self._object = None
        return found

    def _begin(self, fields: dict[str, str]) -> list[SshdLine]:
        found = self._ended()
        self._fields, self._is_done = fields, False
        return found

    def _add(self, name: str, value: str) -> list[SshdLine]:
        assert self._fields is not None
        self._fields.setdefault(name, value)
        if self._is_done or not self._fields.keys() >= _NEEDED:
            return []
        return self._ended()

    def _ended(self) -> list[SshdLine]:
        if self._fields is None or self._is_done:
            return []
        self._is_done = True
        line = _line_of(self._fields, self._fields.get("", ""))
        return [] if line is None else [line]

    def _more_of_object(self, text: str) -> list[SshdLine] | None:
        assert self._object is not None
        self._object.append(text)
        if text.strip() in ("}", "},"):
            whole, self._object = "\n".join(self._object).rstrip(","), None
            return self._of_object(whole)
        if len(self._object) > MOST_LINES:
            self._object = None
            return None
        return []

    def _of_object(self, text: str) -> list[SshdLine] | None:
        try:
            fields = msgspec.json.decode(text.rstrip().rstrip(","), type=ready(dict[str, Any]))
        except (ValueError, RecursionError):
            return None
        if "eventMessage" in fields:
            return _of_macos(fields)
        if "MESSAGE" not in fields and "__REALTIME_TIMESTAMP" not in fields:
            return None
        line = _line_of(fields, "")
        return [] if line is None else [line]


def _line_of(fields: Mapping[str, Any], time: str) -> SshdLine | None:
    """The line of sshd in a journal entry; None where another program wrote it."""
    program = str(fields.get("SYSLOG_IDENTIFIER") or fields.get("_COMM") or "")
    message = fields.get("MESSAGE")
    if isinstance(message, list):  # bytes that are no text
        message = bytes(one for one in message if isinstance(one, int) and 0 <= one < 256).decode("utf-8", "replace")
    if not program.startswith("sshd") or not isinstance(message, str):
        return None
    at = str(fields.get("__REALTIME_TIMESTAMP") or "")
    if at.isdigit() and len(at) < 20:
        time = f"{int(at) / 1e6:.6f}"
    return SshdLine(time, str(fields.get("_HOSTNAME") or ""), str(fields.get("_PID") or ""), message)


def _of_macos(fields: Mapping[str, Any]) -> list[SshdLine]:
    name = str(fields.get("processImagePath") or "").rpartition("/")[2]
    if not name.startswith("sshd"):
        return []
    return [
        SshdLine(
            str(fields.get("timestamp") or ""), "", str(fields.get("processID") or ""), str(fields["eventMessage"])
        )
    ]
