"""Studies: asked and told, the same path after a restart, leases, first results, owners, scores from the stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from brain.charter import Event
from brain.dna import sampler
from brain.dna.models import NotTheOwner, Objective, Outcome, OutOfBounds, TrialState
from brain.dna.outcomes import add_outcomes
from brain.dna.service import GenomeService, NewSnapshot
from brain.dna.settings import DnaSettings
from brain.dna.studies import NewStudy, StudyService
from brain.dna.tables import make_tables
from brain.dna.trials import Result
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit import outbox
from brain.kit.database import open_database
from brain.kit.outbox.reports import reports
from support.clock import Clock

GENES: dict[str, Any] = {
    "C": {"kind": "float", "low": 1e-2, "high": 1e3, "log": True},
    "gamma": {"kind": "float", "low": 1e-5, "high": 1.0, "log": True},
}
TOLD = Objective(kind="score", direction="maximize")


class World:
    """Services on a database in memory; `restart` makes those of another process on the same database."""

    def __init__(self) -> None:
        self.database = open_database("memory://")
        make_tables(self.database)
        self.clock = Clock()
        self.genomes = GenomeService(self.database, self.clock)
        self.restart()

    def restart(self) -> None:
        self.studies = StudyService(self.database, DnaSettings(lease_seconds=60), self.clock)

    async def study(self, **more: Any) -> str:
        await self.genomes.snapshot(NewSnapshot(agent_id="svc", dna={"C": 1.0, "gamma": 0.05, "kernel": "rbf"}))
        given = {"agent_id": "svc", "genes": GENES, "objective": TOLD, "owner": "ann", "budget": 12, **more}
        return (await self.studies.start(NewStudy(**given))).id

    async def run(self, study: str, trials: int) -> None:
        for _ in range(trials):
            asked = (await self.studies.ask(study, "ann")).trial
            await self.studies.tell(study, asked.number, Result(by="ann", score=fitness(asked.params)))

    def events(self, type: str) -> list[Event]:
        with self.database.begin() as db:
            rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars()
            return [event for event in map(Event.decode, rows) if event.type == type]

    def reported(self) -> list[dict[str, Any]]:
        with self.database.begin() as db:
            return list(db.execute(sa.select(reports.c.report)).scalars())


def fitness(params: Any) -> float:
    return -((math.log10(params["C"]) - 1) ** 2) - (math.log10(params["gamma"]) + 3) ** 2


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.database.dispose()


@pytest.mark.parametrize("kind", sampler.SAMPLERS)
async def test_a_study_takes_the_same_path_with_the_same_seed_also_after_restarts(world: World, kind: str) -> None:
    whole, cut, other = [await world.study(sampler=kind, seed=seed) for seed in (1, 1, 2)]
    await world.run(whole, 12)
    await world.run(other, 12)
    for _ in range(4):
        await world.run(cut, 3)
        world.restart()
    hashes = [(await world.studies.progress(id)).lineage_hash for id in (whole, cut, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert (await world.studies.progress(cut)).study.state == "DONE"


async def test_a_study_that_optuna_would_lead_elsewhere_keeps_what_is_recorded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = await world.study(sampler="tpe")
    await world.run(study, 4)
    before = [trial.params for trial in await world.studies.trials(study)]
    world.restart()
    real = sampler._sampler
    monkeypatch.setattr(sampler, "_sampler", lambda optuna, given: optuna.samplers.RandomSampler(seed=9))
    await world.run(study, 8)
    monkeypatch.setattr(sampler, "_sampler", real)
    trials = await world.studies.trials(study)
    assert [trial.params for trial in trials[:4]] == before
    assert len({str(trial.params) for trial in trials}) == 12


async def test_each_trial_is_a_version_of_the_genome(world: World) -> None:
    study = await world.study(budget=2)
    await world.run(study, 2)
    best = await world.studies.best(study)
    assert best.snapshot.dna == {"kernel": "rbf", **best.trial.params}
    assert (best.snapshot.source, best.snapshot.parent_snapshot_id) == ("study", 1)
    trials = await world.studies.trials(study)
    assert best.trial.score == max(trial.score or 0 for trial in trials)
    evaluated = [event.payload["trial"] for event in world.events("dna.trial_evaluated")]
    assert evaluated == [0, 1]
    (finished,) = world.events("dna.study_finished")
    assert (finished.payload["state"], finished.payload["best_trial"]) == ("DONE", best.trial.number)
    with pytest.raises(Conflict, match="is DONE"):
        await world.studies.ask(study, "ann")


async def test_the_first_result_counts(world: World) -> None:
    study = await world.study()
    asked = (await world.studies.ask(study, "ann")).trial
    first = await world.studies.tell(study, asked.number, Result(by="ann", score=0.5, scores={"seconds": 2.0}))
    again = await world.studies.tell(study, asked.number, Result(by="ann", score=0.9))
    assert first == again
    assert (again.score, again.scores) == (0.5, {"seconds": 2.0})
    assert len(world.events("dna.trial_evaluated")) == 1


@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
async def test_numbers_that_are_none_are_refused(world: World, score: float) -> None:
    study = await world.study()
    asked = (await world.studies.ask(study, "ann")).trial
    with pytest.raises(InvalidInput, match=r"score: .* is not a finite number"):
        await world.studies.tell(study, asked.number, Result(by="ann", score=score))
    with pytest.raises(InvalidInput, match=r"scores\.seconds"):
        await world.studies.tell(study, asked.number, Result(by="ann", score=1.0, scores={"seconds": score}))
    (trial,) = await world.studies.trials(study)
    assert trial.state is TrialState.RUNNING


async def test_a_trial_whose_lease_is_over_is_given_to_the_next_who_asks(world: World) -> None:
    study = await world.study(budget=1, workers=["bob"])
    first = await world.studies.ask(study, "ann")
    with pytest.raises(Conflict, match="all 1 trials of its budget are given, 1 of them run"):
        await world.studies.ask(study, "bob")
    world.clock.advance(61)
    again = await world.studies.ask(study, "bob")
    assert (again.trial.number, again.snapshot) == (first.trial.number, first.snapshot)
    assert (again.trial.attempts, again.trial.asked_by) == (2, "bob")
    late = await world.studies.tell(study, 0, Result(by="ann", score=0.3))
    assert await world.studies.tell(study, 0, Result(by="bob", score=0.4)) == late


async def test_a_trial_that_nobody_comes_back_for_fails_and_is_not_of_the_budget(world: World) -> None:
    study = await world.study(budget=1)
    await world.studies.ask(study, "ann")
    assert await world.studies.expire() == 0
    world.clock.advance(60 + 3601)
    assert await world.studies.expire() == 1
    (trial,) = await world.studies.trials(study)
    assert (trial.state, trial.told_by) == (TrialState.FAILED, None)
    await world.run(study, 1)
    progress = await world.studies.progress(study)
    assert (progress.study.state, progress.trials) == ("DONE", {"FAILED": 1, "COMPLETE": 1})


async def test_with_a_key_the_same_request_is_answered_with_the_first_trial(world: World) -> None:
    given = NewStudy(agent_id="svc", genes=GENES, objective=TOLD, owner="ann")
    await world.study()
    assert await world.studies.start(given, key="k") == await world.studies.start(given, key="k")
    (study, _) = await world.studies.list()
    asked = [(await world.studies.ask(study.id, "ann", key=key)).trial.number for key in ("a", "a", "b")]
    assert asked == [0, 0, 1]


async def test_others_may_not_write_and_are_reported(world: World) -> None:
    study = await world.study(workers=["worker-1"])
    asked = (await world.studies.ask(study, "worker-1")).trial
    for write in (
        lambda: world.studies.ask(study, "mallory"),
        lambda: world.studies.tell(study, asked.number, Result(by="mallory", score=9.0)),
        lambda: world.studies.stop(study, "mallory"),
    ):
        with pytest.raises(NotTheOwner, match="not by mallory"):
            await write()
    (report,) = world.reported()
    assert (report["type"], report["source"], report["severity"]) == ("dna_tampering", "mallory", "HIGH")
    assert (await world.studies.trials(study))[0].state is TrialState.RUNNING


async def test_a_study_that_is_stopped_leaves_no_running_trial(world: World) -> None:
    study = await world.study()
    await world.run(study, 1)
    await world.studies.ask(study, "ann")
    await world.studies.stop(study, "ann")
    assert (await world.studies.progress(study)).trials == {"COMPLETE": 1, "FAILED": 1}
    with pytest.raises(Conflict, match="STOPPED already"):
        await world.studies.stop(study, "ann")


async def test_a_score_is_counted_on_the_stream_when_none_is_told(world: World) -> None:
    study = await world.study(objective=Objective(kind="denial_rate", direction="minimize", at_least=10))
    asked = (await world.studies.ask(study, "ann")).trial
    with pytest.raises(Conflict, match="0 of 10 decisions"):
        await world.studies.tell(study, asked.number, Result(by="ann"))
    with world.database.begin() as db:
        seen = Outcome(genome_hash=asked.genome_hash, decisions=20, denials=3, errors=1)
        add_outcomes(db, [("svc", seen)])
    assert (await world.studies.tell(study, asked.number, Result(by="ann"))).score == 0.15


async def test_what_is_no_study_is_refused(world: World) -> None:
    await world.study()
    bounds = {"C": {"kind": "float", "low": 0.1, "high": 10.0}}
    await world.genomes.snapshot(NewSnapshot(agent_id="svc", dna={"C": 1.0}, genes=bounds))
    for more, error, named in (
        ({"genes": {}}, InvalidInput, "genes: a study needs one"),
        ({"sampler": "grid"}, InvalidInput, "sampler: 'grid' is not one of"),
        ({"agent_id": "nobody"}, NotFound, "agent nobody has no genome"),
        ({"genes": GENES}, OutOfBounds, "genes.C: 0.01 is outside of 0.1 to 10"),
        ({"objective": Objective(kind="metric", direction="maximize")}, InvalidInput, "needs an event and a field"),
        (
            {"objective": Objective(kind="metric", direction="maximize", event="shop.paid", field="total")},
            InvalidInput,
            "'shop.paid' is not counted",
        ),
    ):
        given = {"agent_id": "svc", "genes": bounds, "objective": TOLD, "owner": "ann", **more}
        with pytest.raises(error, match=named):
            await world.studies.start(NewStudy(**given))
    assert len(await world.studies.list()) == 1


async def test_without_the_extra_the_pip_line_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    study = await world.study()
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(InvalidInput, match=r"pip install 'brain-eventstream\[dna\]'"):
        await world.studies.ask(study, "ann")
    assert (await world.studies.progress(study)).trials == {}
