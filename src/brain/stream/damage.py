"""What journals lost to damage: counted for good, and the damaged segments kept aside.

Beside the journal `NAME` a folder `NAME.damaged` holds the damaged segments as they were found, and `lost.json`: the
number of the first lost record of each gap, and how many were lost there. It stays until a person removes it, so that
the count survives restarts. What no record follows cannot be counted: it is one loss, whatever was there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec

from brain.json_text import JSON_FAULTS
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.typed import ready

log: Log = Log("brain.journal")

SUFFIX = ".damaged"
_REPORT = "lost.json"


class DamageLog:
    """The damage on record in one folder of journals. Thread-safe; recording the same gap again changes nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = InterruptibleLock()
        self._lost = {folder.name: _read(folder / _REPORT) for folder in root.glob(f"*{SUFFIX}") if folder.is_dir()}

    @property
    def total(self) -> int:
        """How many records were lost, as far as it is known: what is gone at the end of a journal counts as one."""
        return sum(sum(lost.values()) for lost in self._lost.values())

    def record(self, journal: str, first: int, count: int, segment: Path | None) -> None:
        """Note that `count` records from number `first` on are lost; `segment` is the damaged one, if it is there."""
        with self._lock:
            lost = self._lost.setdefault(journal + SUFFIX, {})
            if lost.get(first, 0) >= count:
                return
            lost[first] = count
            log.error(
                "journal records were lost to damage", journal=journal, first=first, count=count, kept=str(segment)
            )
            try:
                self._keep(self._root / (journal + SUFFIX), lost, segment)
            except OSError as error:
                log.error("a damaged segment could not be kept", journal=journal, error=str(error))

    @staticmethod
    def _keep(folder: Path, lost: dict[int, int], segment: Path | None) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        new = folder / f"{_REPORT}.{os.getpid()}"
        new.write_bytes(msgspec.json.encode(lost))
        new.replace(folder / _REPORT)
        if segment is None or (folder / segment.name).exists():
            return
        try:
            os.link(segment, folder / segment.name)
        except OSError:  # a file system without hard links
            shutil.copyfile(segment, folder / segment.name)


def _read(report: Path) -> dict[int, int]:
    try:
        return msgspec.json.decode(report.read_bytes(), type=ready(dict[int, int]))
    except (OSError, *JSON_FAULTS) as error:
        log.warning("the report of journal damage cannot be read", file=str(report), error=str(error))
        return {}
