"""Commands that steps run: without a shell, and ended with whoever waits for them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence

from brain.errors import BrainError
from brain.playbooks.records import Run

OUTPUT_CHARACTERS = 500
"""The last characters of what a command wrote that are kept."""


class StepFailed(BrainError):
    """A step could not do what it is for."""

    title = "Step failed"


async def run_command(command: Sequence[str], run: Run) -> str:
    """Run a command without a shell; its last words. It, and what it started, is killed when this is cancelled.

    Raises StepFailed for another exit code than 0, and when it cannot be started.
    """
    environment = {
        **os.environ,
        "BRAIN_RUN": run.id,
        "BRAIN_STEP_KEY": run.key,
        "BRAIN_CORRELATION_ID": run.correlation_id,
        "BRAIN_SUBJECT": run.subject,
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    except OSError as error:
        raise StepFailed(f"{command[0]} cannot be started: {error}") from error
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    words = output.decode(errors="replace").strip()[-OUTPUT_CHARACTERS:]
    if process.returncode:
        raise StepFailed(f"{command[0]} ended with exit code {process.returncode}: {words}")
    return words or "exit code 0"


def _death_signal() -> Callable[[], None] | None:
    """On Linux, what makes a child end when this process is killed: its effect is then there, or never comes."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


_PR_SET_PDEATHSIG = 1
die_with_parent: Callable[[], None] | None = _death_signal()
"""Called in the child before the command: https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html"""
