"""Imported once by a fork server, so that each child starts with all of it.

What few commands need and takes long is in `support.all_extras`.
"""

from __future__ import annotations

import asyncio
import gc
import io
import os
import pkgutil
import threading
from contextlib import redirect_stderr
from importlib import import_module
from tempfile import TemporaryDirectory

import httpcore
import httpx
import pydantic.v1  # which FastAPI loads when it is first given a route
import rich.progress
import rich.table
import typer.rich_utils

import brain.cli
from brain import catalogue, logs, settings
from brain.alerting import http as alerting_api
from brain.audit import export, verify
from brain.audit import http as audit_api
from brain.dna import http as dna_api
from brain.immune import http as immune_api
from brain.incidents import http as incidents_api
from brain.metrics import http as metrics_api
from brain.plugins import plugins
from brain.policy import http as policy_api
from brain.server import running
from brain.store import redis, sqlite
from brain.stream.backends import sqlite as stream_sqlite
from brain.threats import http as threats_api
from support import alerting_worker, audit_worker, group_worker, incident_worker, metrics_worker, producer
from support.made_once import make_once

gc.disable()  # until all is imported
make_once()


async def serve_once() -> None:
    """So that what is made once is there for all children."""
    given = settings.Settings(stream="memory://", port=0)
    async with (
        running.running(given) as server,
        httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        (await client.get("/api/events", params={"limit": 1})).raise_for_status()


def settle() -> None:
    """Serve once, where nothing is set, and leave no thread: a child must not find what one was doing."""
    environ, folder = dict(os.environ), os.getcwd()
    with TemporaryDirectory() as empty, redirect_stderr(io.StringIO()):
        for name in environ:
            if name.startswith("BRAIN_"):
                del os.environ[name]
        os.chdir(empty)
        try:
            asyncio.run(serve_once())
        finally:
            os.chdir(folder)
            os.environ.update(environ)
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(10)


for found in pkgutil.walk_packages(brain.cli.__path__, "brain.cli."):
    import_module(found.name)
catalogue()
for plugin in plugins().values():
    plugin.opener()
    for name in plugin.commands:
        plugin.command(name)
settings.settings_model()
settle()
gc.enable()
# No child's garbage collector looks through all of this: half of the time that a command takes.
gc.collect()
gc.freeze()
__all__ = [
    "alerting_api",
    "alerting_worker",
    "audit_api",
    "audit_worker",
    "dna_api",
    "export",
    "group_worker",
    "httpcore",
    "immune_api",
    "incident_worker",
    "incidents_api",
    "logs",
    "metrics_api",
    "metrics_worker",
    "policy_api",
    "producer",
    "pydantic",
    "redis",
    "rich",
    "running",
    "settings",
    "sqlite",
    "stream_sqlite",
    "threats_api",
    "typer",
    "verify",
]
