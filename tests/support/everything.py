"""Imported once by the fork server, so that each child starts with all of it."""

from __future__ import annotations

import rich.progress
import rich.table
import typer.rich_utils

from brain import catalogue, cli, logs, settings
from brain.consumers.metrics import api
from brain.store import redis, sqlite
from brain.web import running
from support import group_worker, metrics_worker, producer

catalogue()
__all__ = [
    "api",
    "cli",
    "group_worker",
    "logs",
    "metrics_worker",
    "producer",
    "redis",
    "rich",
    "running",
    "settings",
    "sqlite",
    "typer",
]
