"""Workers on a study, killed at any moment: no result is lost or kept twice, and no trial stays without an end.

By default a few kills; `make test-long` makes 50 in 200 trials on each database.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain import Event, EventStream
from brain.dna.models import CONSUMER
from brain.dna.service import GenomeService
from brain.dna.settings import DnaSettings
from brain.dna.studies import StudyService
from brain.kit.database import open_database
from brain.kit.outbox import EventShipping, waiting_events
from support import dna_worker
from support.processes import kill, spawn
from support.waiting import until, wait_until


def started(*names: str, args: tuple[str, ...]) -> list[tuple[BaseProcess, Connection]]:
    """Workers that begin together, once all of them could."""
    workers = []
    for name in names:
        ours, theirs = multiprocessing.Pipe()
        workers.append((spawn(dna_worker.work, *args, name, theirs), ours))
    for _, going in workers:
        assert going.recv() == "ready"
    for _, going in workers:
        going.send("go")
    return workers


def kill_at_random(kills: int, *args: str) -> None:
    """Let workers work, two at a time, and kill each at a random moment after its first trial; then one ends it."""
    chance = random.Random(kills)
    for number in range(0, kills, 2):
        workers = started(f"w{number}a", f"w{number}b", args=args)
        for _, going in workers:
            wait_until(going.poll)
            assert going.recv() == "going", "the study is done before all kills are"
        for process, _ in workers:
            time.sleep(chance.uniform(0, 0.06))
            kill(process)
    [(process, going)] = started("last", args=args)
    assert set(iter(going.recv, "done")) <= {"going"}
    process.join(60)
    assert process.exitcode == 0


async def shipped(url: str, database: sa.Engine, journal: Path) -> list[Event]:
    """What is on the stream once nothing waits."""

    def waits() -> bool:
        with database.begin() as db:
            return waiting_events(db, CONSUMER)[0] > 0

    async with EventStream.open(url, journal=journal) as stream:
        running = asyncio.create_task(EventShipping(database, CONSUMER, stream).run())
        await until(lambda: not waits())
        running.cancel()
        await asyncio.wait([running])
        return [event async for event in stream.replay("dna.*")]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "kills", "trials"),
    [
        ("sqlite", 2, 16),
        pytest.param("sqlite", 50, 200, marks=pytest.mark.long),
        pytest.param("postgresql", 50, 200, marks=pytest.mark.long),
    ],
)
async def test_no_result_is_lost_or_kept_twice_and_no_trial_stays_without_an_end(
    kind: str, kills: int, trials: int, tmp_path: Path, request: pytest.FixtureRequest, capsys: Any
) -> None:
    url = f"sqlite:///{tmp_path}/brain.db"
    given = f"sqlite:///{tmp_path}/consumers.db" if kind == "sqlite" else request.getfixturevalue("postgres").url
    study = await dna_worker.started(given, trials)
    await asyncio.to_thread(kill_at_random, kills, url, given, str(tmp_path), study)
    database = open_database(given)
    events = await shipped(url, database, tmp_path / "journal")
    studies, genomes = StudyService(database, DnaSettings()), GenomeService(database)
    found = {trial.number: trial for trial in await studies.trials(study)}
    progress, lineage = await studies.progress(study), await genomes.lineage("svc", 10_000)
    database.dispose()

    assert progress.trials == {"COMPLETE": trials}
    assert sorted(found) == list(range(trials))
    assert progress.study.state == "DONE"
    accepted = dna_worker.accepted(tmp_path)
    assert accepted == {number: {found[number].score} for number in accepted}
    assert {number: one.score for number, one in found.items()} == {
        number: dna_worker.fitness(one.params) for number, one in found.items()
    }
    told = Counter(event.payload["trial"] for event in events if event.type == "dna.trial_evaluated")
    assert told == dict.fromkeys(range(trials), 1)
    made = [event.payload for event in events if event.type == "dna.snapshot_created"]
    assert [(one["version"], one["genome_hash"]) for one in made] == [
        (node.version, node.genome_hash) for node in lineage.nodes
    ]
    assert [event.type for event in events].count("dna.study_finished") == 1
    again = sum(one.attempts > 1 for one in found.values())
    with capsys.disabled():
        print(f"\n{kind}: {kills} kills, {trials} trials, each told once; {again} were given to a second worker")
