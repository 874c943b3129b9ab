"""`brain worker alerting` in a process that is made quickly and can be killed."""

from __future__ import annotations

import os

from brain import cli


def run(folder: str) -> None:
    """Work in that folder, with the brain.toml there."""
    os.chdir(folder)
    cli.main(["worker", "alerting"])
