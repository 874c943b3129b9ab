"""Imported once by the fork server, so that each child starts with all of it."""

from __future__ import annotations

import rich.progress
import rich.table
import typer.rich_utils

from brain import catalogue, cli, logs, settings
from brain.consumers.incidents import api
from brain.store import redis, sqlite
from support import group_worker, incident_worker, producer

catalogue()
__all__ = [
    "api",
    "cli",
    "group_worker",
    "incident_worker",
    "logs",
    "producer",
    "redis",
    "rich",
    "settings",
    "sqlite",
    "typer",
]
