"""Restarts of systemd's units by `systemctl`, of the system's manager or of this user's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from brain.errors import BrainError
from brain.playbooks.commands_run import StepFailed, run_command
from brain.playbooks.records import Run

LOOK = 0.2
"""Seconds between two looks whether a job of systemd is over."""
_LEFT, _JOB = "InactiveExitTimestampMonotonic", "Job"


async def restart_unit(options: Mapping[str, Any], run: Run) -> str:
    """Restart `unit`, of the user's manager with `user`; what was done, in words. Raises StepFailed."""
    unit = str(options["unit"])
    try:
        await run_command([*_systemctl(options), "restart", "--", unit], run)
    except StepFailed as error:
        if "authentication" in str(error).lower():
            raise StepFailed(
                f"{error}; let the user that the server runs as manage {unit}: a rule of polkit for the action "
                "org.freedesktop.systemd1.manage-units"
            ) from error
        raise
    return f"{unit} was restarted"


async def restarted_since(options: Mapping[str, Any], run: Run, since: float) -> bool | None:
    """Whether systemd has started the unit since that Unix time; None where it does not say. Waits for its job."""
    command = [*_systemctl(options), "show", f"--property={_LEFT},{_JOB}", "--", str(options["unit"])]
    while True:
        try:
            shown = await run_command(command, run)
        except BrainError:
            return None
        values = dict(line.partition("=")[::2] for line in shown.splitlines())
        if not values.get(_JOB, "").isdigit() or values[_JOB] == "0":
            break
        await asyncio.sleep(LOOK)
    left = values.get(_LEFT, "")
    if not left.isdigit():
        return None
    return time.time() - (time.monotonic() - int(left) / 1e6) >= since


def _systemctl(options: Mapping[str, Any]) -> list[str]:
    return ["systemctl", *(["--user"] if options.get("user") else []), "--no-ask-password"]
