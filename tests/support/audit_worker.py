"""`brain worker audit` in a process that is made quickly and can be killed."""

from __future__ import annotations

import os

from brain.cli.commands.worker import worker


def run(folder: str, stream: str, database: str) -> None:
    """The command, in a folder."""
    os.chdir(folder)
    os.environ["BRAIN_LOG_LEVEL"] = "warning"
    worker(["audit"], stream, database)
