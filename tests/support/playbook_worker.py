"""A process that runs playbooks until it is killed, or until as many runs are over as it is asked for."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from brain.kit.database import reading
from brain.playbooks.records import counts
from brain.playbooks.tables import STEPS
from support.playing import playing
from support.waiting import DEADLINE, until

LEASE = 1.5
"""Seconds: what a killed worker held is soon another's; one that is alive keeps it, however busy the machine is."""
PLAYBOOK = """
playbooks:
  - name: kept
    trigger: test.failed
    subject: id
    cooldown: 0
    per_hour: 100000
    steps:
      - restart: {command: [sh, -c, 'sleep 0.03; echo "$BRAIN_STEP_KEY" >> effects; sleep 0.03']}
        done_if: [grep, -qsx, "${step.key}", effects]
      - contain: {agent: "${payload.agent_id}", seconds: 3600}
      - call: {callback: support.playbook_worker:note}
        done_if: [grep, -qsx, "${step.key}", effects]
      - shadow_rule: {rule: {id: "rule-${payload.number}", name: Tried, effect: DENY}}
"""


async def note(event: Mapping[str, Any], key: str) -> str:
    """An effect in Python: a line in one write."""
    await asyncio.sleep(0.02)
    await asyncio.to_thread(_keep, key)
    await asyncio.sleep(0.02)
    return "noted"


def _keep(key: str) -> None:
    with Path("effects").open("a") as effects:
        effects.write(f"{key}\n")


def work(folder: str, database: str, wanted: int, going: Connection) -> None:
    """Run playbooks in this folder; says `going` at its first step, and `done` once `wanted` runs are over."""
    os.chdir(folder)
    logging.disable()
    asyncio.run(_work(Path(folder), database, wanted, going))


async def _work(folder: Path, database: str, wanted: int, going: Connection) -> None:
    budgets = {"per_correlation": 10_000, "per_hour": 100_000}
    given = {"database": database, "lease_seconds": LEASE, "shipped": False}
    async with playing(folder, PLAYBOOK, **given, **budgets) as here:
        began = time.time()

        def at_it() -> bool:
            with reading(here.context.database).begin() as db:
                return db.execute(sa.select(STEPS.c.run).where(STEPS.c.started_at > began)).first() is not None

        await until(at_it)
        going.send("going")

        def over() -> bool:
            with reading(here.context.database).begin() as db:
                found = counts(db)
            return sum(found.get(state, 0) for state in ("SUCCEEDED", "FAILED")) >= wanted

        await until(over, max(DEADLINE, min(float(wanted), 3600.0)))  # many runs take long
    going.send("done")
