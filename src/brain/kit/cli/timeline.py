"""The steps of a timeline on a terminal: when, what with the branch that leads to it, whose, and what it says."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.stream.timeline import CausalStep

__all__ = ["print_steps"]


def print_steps(steps: Sequence[CausalStep], indent: str = "") -> None:
    """A line a step; cut to the width of a terminal."""
    from brain.kit.cli.text import moment, printable, summary

    wide = shutil.get_terminal_size().columns - len(indent) if sys.stdout.isatty() else 0
    names = [f"{_branch(step.last)}{step.event.type}" for step in steps]
    widest = max(map(len, names), default=0)
    sources = max((len(step.event.source) for step in steps), default=0)
    for step, name in zip(steps, names, strict=True):
        line = (
            f"{moment(step.event.timestamp)}  {step.delta:+9.3f} s  {name:<{widest}}  {step.event.source:<{sources}}  "
        )
        print_text(indent + printable(line + summary(step.event.payload), wide).rstrip())


def _branch(last: tuple[bool, ...]) -> str:
    if not last:
        return ""
    return "".join("   " if ended else "│  " for ended in last[:-1]) + ("└─ " if last[-1] else "├─ ")
