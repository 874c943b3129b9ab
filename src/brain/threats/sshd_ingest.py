"""Files of sshd logs into threats: read from the oldest on, recorded by address, read on while they grow."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from brain.errors import InvalidInput
from brain.kit.log_files import LogPlace, lines_from, open_log, place_after, start_of
from brain.threats.guesses import belongs_to
from brain.threats.log_places import HEAD_BYTES, KnownLog, LogPlaces
from brain.threats.models import Threat
from brain.threats.service import ThreatService
from brain.threats.sightings import Recorded
from brain.threats.sshd_log import THREAT_TYPE, SshdFinding, SshdLog, SshdLogs, is_threat, sighting

SHOW_EVERY = 1_000
"""Lines between two reports of progress."""


@dataclass
class _File:
    """A file, as far as it was read."""

    path: Path
    log: SshdLog = field(default_factory=SshdLog)
    place: LogPlace = field(default_factory=LogPlace)
    head: bytes = b""
    is_cut: bool = False


class SshdIngest:
    """Reads files, and records what they hold. `least`: attempts that make an address a threat."""

    def __init__(self, paths: Sequence[Path], least: int, places: LogPlaces) -> None:
        self._places = places
        self._files = [_File(path) for path in sorted(paths, key=_written_at)]
        self._ended: list[SshdLog] = []  # those that were rotated away while they were followed
        self._logs = SshdLogs()
        self._least = least
        self._sent: dict[tuple[str, str], dict[str, int]] = {}
        self.recorded: dict[str, Recorded] = {}
        """By address, what became of its threat."""

    @property
    def logs(self) -> list[SshdLog]:
        """All logs, the oldest first."""
        return [*self._ended, *(one.log for one in self._files)]

    def findings(self) -> list[SshdFinding]:
        """One for each address, over all logs, the busiest first."""
        total: dict[str, SshdFinding] = {}
        for log in self.logs:
            for address, finding in log.by_address.items():
                if address not in total:
                    total[address] = SshdFinding(address, finding.first_seen, finding.last_seen)
                total[address].add(finding)
        return sorted(total.values(), key=lambda finding: (-finding.attempts, finding.address))

    def read(self, progress: Callable[[int], None] = lambda _: None, *, partial: bool = True) -> bool:
        """Read what the files have after the place that is known; whether that is something. Raises InvalidInput.

        A last line without an end is taken with `partial` alone: it may still be written.
        """
        before = sum(log.lines for log in self.logs)
        for one in self._files:
            if not partial and not one.path.exists():  # it is being rotated
                continue
            try:
                with open_log(one.path) as opened:
                    self._read(one, opened, progress, partial)
            except (EOFError, OSError, LZMAError, zlib.error) as error:
                raise InvalidInput(f"{one.path}: cannot be read to its end: {error}") from error
        return sum(log.lines for log in self.logs) > before

    def _read(self, one: _File, opened: BinaryIO, progress: Callable[[int], None], partial: bool) -> None:
        start = start_of(opened, one.place)
        if one.place.offset and not start:  # another file in its place
            self._end(one)
        if not one.place.offset and opened.seekable():
            start = self._begin(one, opened)

        def lines() -> Iterator[bytes]:
            for number, line in enumerate(lines_from(opened, start, partial=partial), 1):
                one.place = place_after(one.place.before, line, one.place.lines + 1)
                if number % SHOW_EVERY == 0:
                    progress(line.end)
                yield line.text
            progress(one.place.offset)

        self._logs.read(lines(), _written_at(one.path), one.log)

    def _begin(self, one: _File, opened: BinaryIO) -> int:
        """Where to begin with a file: at its start, or behind what is known of one whose head was cut off."""
        known = self._places.get(one.path)
        start = known.start(opened)
        if start:
            one.log.identity, one.place, one.is_cut = known.reading(), known.place, True
        opened.seek(0)
        one.head = opened.read(HEAD_BYTES)
        return start

    def _end(self, one: _File) -> None:
        """The file was rotated away: read its end where it is now, and begin with the new one."""
        moved = one.path.with_name(f"{one.path.name}.1")
        if moved.is_file():
            with open_log(moved) as opened:
                start = start_of(opened, one.place)
                rest = [line.text for line in lines_from(opened, start, partial=True)] if start else []
            self._logs.read(rest, _written_at(moved), one.log)
        self._ended.append(one.log)
        one.log, one.place, one.is_cut = SshdLog(), LogPlace(), False

    async def record(self, service: ThreatService) -> None:
        """Record the threats among the findings, those that are news."""
        for log in self.logs:
            for address, logins in log.early_logins.items():
                found = await service.list_threats(type=THREAT_TYPE, source=address, limit=1)
                before = _failures_before(found[0], log) if found else None
                guessed = [login for login in logins if belongs_to(login, before)]
                for login in guessed:
                    log.finding(address, "", login.at).logins_after_failures += 1
            log.early_logins.clear()
        threats = {finding.address for finding in self.findings() if is_threat(finding, self._least)}
        for log in self.logs:
            for finding in log.findings:
                key = (log.identity, finding.address)
                if finding.address in threats and self._sent.get(key) != finding.counts:
                    made = await service.record_sighting(sighting(log, finding))
                    before = self.recorded.get(finding.address)
                    is_new = made.new or (before is not None and before.new)
                    is_changed = made.changed or (before is not None and before.changed)
                    self.recorded[finding.address] = Recorded(made.threat, is_new, is_changed)
                    self._sent[key] = finding.counts
        await asyncio.to_thread(self._keep_places)

    def _keep_places(self) -> None:
        for one in self._files:
            if one.head:
                self._places.put(one.path, KnownLog(one.head[: one.place.offset], one.place, one.is_cut))


def _failures_before(threat: Threat, log: SshdLog) -> object:
    """The failures of the log before that the address's threat remembers; None for those of this same log."""
    lately = threat.metadata.get("lately")
    return lately.get("failures") if isinstance(lately, dict) and lately.get("reading") != log.identity else None


def _written_at(path: Path) -> float:
    """When the file was last written, in Unix seconds; now for standard input and what is not there."""
    try:
        return time.time() if str(path) == "-" else path.stat().st_mtime
    except OSError:
        return time.time()
