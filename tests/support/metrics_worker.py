"""`brain worker metrics` in a process that can be killed."""

from __future__ import annotations

import os

from brain.cli.commands.worker import worker


def run(folder: str, stream: str, database: str, *others: str) -> None:
    """The command, in a folder; with the names of other plug-ins."""
    os.chdir(folder)
    os.environ["BRAIN_LOG_LEVEL"] = "warning"
    worker(["metrics", *others], stream, database)
