"""How long work waits for processors, memory and disks (PSI). https://docs.kernel.org/accounting/psi.html"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

_AVERAGE = re.compile(r"^some .*?\bavg10=(\d+(?:\.\d+)?)", re.MULTILINE)

_Share = Annotated[float | None, Meta(description="Percent of the last 10 s in which some work waited for it.")]


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """How much work waits; null where the kernel does not say."""

    cpu: _Share
    memory: _Share
    io: _Share


def read_pressure(root: Path = Path("/")) -> Pressure | None:
    """The pressure on this host; None where the kernel was made or started without it. `root` has `proc`."""
    found = {name: _average(root / "proc/pressure" / name) for name in ("cpu", "memory", "io")}
    return None if all(value is None for value in found.values()) else Pressure(**found)


def _average(file: Path) -> float | None:
    try:
        text = file.read_text("ascii")
    except OSError:  # not there, or EOPNOTSUPP when it is switched off
        return None
    found = _AVERAGE.search(text)
    return None if found is None else float(found[1])
