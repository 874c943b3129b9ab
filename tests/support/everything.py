"""Imported once by the fork server, so that each child starts with all of it."""

from __future__ import annotations

import pydantic.v1  # which FastAPI loads when it is first given a route
import rich.progress
import rich.table
import typer.rich_utils

from brain import catalogue, cli, logs, settings
from brain.consumers.audit import api as audit_api
from brain.consumers.audit import export, verify
from brain.consumers.incidents import api as incidents_api
from brain.consumers.metrics import api as metrics_api
from brain.consumers.soc import api as soc_api
from brain.store import redis, sqlite
from brain.web import running
from support import audit_worker, group_worker, incident_worker, metrics_worker, producer, soc_worker

catalogue()
__all__ = [
    "audit_api",
    "audit_worker",
    "cli",
    "export",
    "group_worker",
    "incident_worker",
    "incidents_api",
    "logs",
    "metrics_api",
    "metrics_worker",
    "producer",
    "pydantic",
    "redis",
    "rich",
    "running",
    "settings",
    "soc_api",
    "soc_worker",
    "sqlite",
    "typer",
    "verify",
]
