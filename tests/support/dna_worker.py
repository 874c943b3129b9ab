"""A process that works on a study until it is killed: asks, tries, tells, and notes what was accepted."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from brain import EventStream
from brain.dna.models import CONSUMER, Objective, TrialState
from brain.dna.service import GenomeService, NewSnapshot
from brain.dna.settings import DnaSettings
from brain.dna.studies import NewStudy, StudyService, TrialGenome
from brain.dna.tables import make_tables
from brain.dna.trials import Result
from brain.errors import Conflict
from brain.kit.database import open_database
from brain.kit.outbox import EventShipping
from support.waiting import until

GENES = {
    "x": {"kind": "float", "low": -5.0, "high": 5.0},
    "y": {"kind": "float", "low": -5.0, "high": 5.0},
}
LEASE = 1.0
"""Seconds for one trial: what a killed worker held is soon given to another."""


def fitness(params: Mapping[str, Any]) -> float:
    return -((params["x"] - 1) ** 2) - (params["y"] + 2) ** 2


async def started(database: str, budget: int) -> str:
    """A study of that many trials."""
    engine = open_database(database)
    make_tables(engine)
    await GenomeService(engine).snapshot(NewSnapshot(agent_id="svc", dna={"x": 0.0, "y": 0.0}))
    objective = Objective(kind="score", direction="maximize")
    given = {"agent_id": "svc", "genes": GENES, "owner": "ann", "budget": budget, "lease_seconds": LEASE}
    study = await StudyService(engine, DnaSettings()).start(NewStudy(**given, objective=objective))
    engine.dispose()
    return study.id


def work(url: str, database: str, folder: str, study: str, name: str, going: Connection) -> None:
    """Work on the study until it is done."""
    asyncio.run(_work(url, database, Path(folder), study, name, going))


async def _work(url: str, database: str, folder: Path, study: str, name: str, going: Connection) -> None:
    stream, engine = await EventStream.open(url, journal=folder / "journal"), open_database(database)
    make_tables(engine)
    shipping = EventShipping(engine, CONSUMER, stream)
    running = asyncio.create_task(shipping.run())
    studies = StudyService(engine, DnaSettings())
    chance = random.Random(name)
    going.send("ready")
    await asyncio.to_thread(going.recv)
    with (folder / f"{name}.told").open("w", buffering=1) as told:
        while (asked := await next_trial(studies, study)) is not None:
            if not told.tell():
                going.send("going")
            await asyncio.sleep(chance.uniform(0, 0.03))
            score = fitness(asked.trial.params)
            trial = await studies.tell(study, asked.trial.number, Result(by="ann", score=score))
            if trial.state is TrialState.COMPLETE:
                told.write(f"{trial.number} {trial.score!r}\n")
    going.send("done")
    running.cancel()
    await asyncio.wait([running])
    await stream.close()


async def next_trial(studies: StudyService, study: str) -> TrialGenome | None:
    """A trial, as soon as there is one; None when the study is done."""
    found: list[TrialGenome | None] = []

    async def asked() -> bool:
        try:
            found.append(await studies.ask(study, "ann"))
        except Conflict as refused:
            if "is DONE" not in str(refused):
                return False
            found.append(None)
        return True

    await until(asked)
    return found[0]


def accepted(folder: Path) -> dict[int, set[float]]:
    """What workers were told is kept, by trial; a last line that was cut off by a kill does not count."""
    found: dict[int, set[float]] = {}
    for path in folder.glob("*.told"):
        for line in path.read_text().split("\n")[:-1]:
            number, score = line.split()
            found.setdefault(int(number), set()).add(float(score))
    return found
