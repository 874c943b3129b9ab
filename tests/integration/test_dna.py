"""Genomes on a real stream: what runs is counted, canaries take their share, and what is worse is taken back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from brain import Condition, Event, EventStream, PolicyEngine, Rule
from brain.dna.models import Objective, Rollout
from brain.dna.plugin import PLUGIN
from brain.dna.promotion import NewPromotion, RolloutService
from brain.dna.service import GenomeService, Mutation, NewSnapshot
from brain.dna.settings import DnaSettings
from brain.dna.studies import NewStudy, StudyService
from brain.dna.tables import make_tables
from brain.dna.tasks import DnaTasks
from brain.dna.trials import Result
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.context import plugin_context
from brain.kit.outbox import ReportDelivery
from brain.kit.protocols import EffectGuard
from brain.policy import ActionDenied, ApprovalRequired
from brain.settings import load_settings
from brain.store import open_store
from support.waiting import until

AGENT = "agent-7"


class World:
    """The plug-in's services and tasks on one stream, with an engine whose decisions are counted."""

    def __init__(self, stream: EventStream, engine: PolicyEngine, tasks: DnaTasks, database: Any) -> None:
        self.stream, self.engine, self.tasks = stream, engine, tasks
        self.genomes = GenomeService(database)
        self.studies = StudyService(database, DnaSettings())
        self.rollouts: RolloutService

    async def versions(self, *temperatures: float) -> list[int]:
        """Snapshots of the agent with these temperatures."""
        first, *others = temperatures
        made = [(await self.genomes.snapshot(NewSnapshot(agent_id=AGENT, dna={"temperature": first}))).id]
        for value in others:
            made.append((await self.genomes.mutate(AGENT, Mutation(mutation={"temperature": value}))).id)
        return made

    async def promote(self, snapshot: int, share: float = 1.0) -> Rollout:
        return await self.rollouts.promote(AGENT, NewPromotion(snapshot_id=snapshot, by="ann", share=share))

    def decide(self, count: int, denied: int = 0, agent: str = AGENT, **more: Any) -> None:
        """Decisions, the denied ones first."""
        for number in range(count):
            action = "forbidden" if number < denied else "read"
            self.engine.evaluate({"agent_id": agent, "action": action, "resource": "db", **more})

    async def counted(self, decisions: int) -> dict[str, tuple[int, int, int]]:
        """What was counted by genome, once so many decisions are."""
        found: dict[str, tuple[int, int, int]] = {}

        async def there() -> bool:
            outcomes = (await self.genomes.outcomes(AGENT)).genomes
            found.update({one.genome_hash: (one.decisions, one.denials, one.errors) for one in outcomes})
            return sum(one[0] for one in found.values()) >= decisions

        await until(there)
        return found

    async def events(self, pattern: str) -> list[Any]:
        return [event async for event in self.stream.replay(pattern)]


@asynccontextmanager
async def running(folder: Path, database: str | None = None, **settings: Any) -> AsyncIterator[World]:
    url = f"sqlite:///{folder}/brain.db"
    given = load_settings(stream=url, database=database or f"sqlite:///{folder}/consumers.db")
    async with EventStream.open(url, journal=folder / "journal") as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, given) as context:
            make_tables(context.database)
            tasks = DnaTasks(context, DnaSettings(**settings))
            engine = PolicyEngine(stream, store=store)
            for id, effect, action in (("allow", "ALLOW", "read"), ("deny", "DENY", "forbidden")):
                engine.add_rule(Rule(id=id, name=id, effect=effect, conditions=[Condition("action", "==", action)]))
            may = [Condition("action", "in", ["dna.apply", "dna.rollback"])]
            engine.add_rule(Rule(id="may-promote", name="May promote", effect="ALLOW", conditions=may))
            guard = context.find(EffectGuard)
            assert guard is not None
            world = World(stream, engine, tasks, context.database)
            world.rollouts = RolloutService(context.database, guard)
            loops = [asyncio.create_task(loop()) for loop in (*tasks.loops, ReportDelivery(context).run)]
            try:
                yield world
            finally:
                for loop in loops:
                    loop.cancel()
                await asyncio.wait(loops)
                await guard.close()
                engine.close()


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = request.getfixturevalue("postgres").url if request.param == "postgresql" else None
    async with running(tmp_path, url) as made:
        yield made


@pytest.fixture
async def on_sqlite(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


async def test_a_promoted_genome_that_is_denied_more_is_taken_back_after_its_200th_decision(world: World) -> None:
    good, bad = await world.versions(0.2, 0.9)
    await world.promote(good)
    world.decide(200, denied=20)
    await world.counted(200)
    rollout = await world.promote(bad)
    world.decide(199, denied=60)
    await world.counted(399)
    assert (await world.rollouts.current(AGENT)).snapshot_id == bad
    assert await world.events("dna.rolled_back") == []
    world.decide(1)
    await until(lambda: _any(world.events("dna.rolled_back")))  # test_dna_api.py says how soon
    (event,) = await world.events("dna.rolled_back")
    assert (event.payload["from_snapshot_id"], event.payload["rollout_id"]) == (bad, rollout.id)
    assert (event.payload["denial_rate"], event.payload["baseline_denial_rate"]) == (0.3, 0.1)
    assert (event.payload["automatic"], event.correlation_id) == (True, rollout.id)
    runs = await world.rollouts.current(AGENT)
    assert (runs.dna, runs.version) == ({"temperature": 0.2}, 3)
    restored = await world.genomes.get(runs.snapshot_id)
    assert (restored.source, restored.parent_snapshot_id) == ("rollback", bad)
    await until(lambda: _any(world.events("immune.critical_event")))
    (critical,) = await world.events("immune.critical_event")
    assert (critical.payload["kind"], critical.payload["module"]) == ("PERFORMANCE_DEGRADATION", AGENT)
    assert critical.correlation_id == rollout.id
    world.decide(300, denied=200)  # what runs now has no baseline to be compared with
    await world.counted(700)
    assert len(await world.events("dna.rolled_back")) == 1


def task_event(type: str, **payload: Any) -> Event:
    """An event about a task of the agent, as whoever runs its tasks publishes them."""
    return Event(type=type, source="tasks_service", payload={"agent_id": AGENT, **payload})


async def test_nothing_is_read_before_there_is_a_genome_and_nothing_is_missed_afterwards(on_sqlite: World) -> None:
    world = on_sqlite
    world.decide(300)
    await until(lambda: world.stream.stats()["backlog"] == 0)
    assert PLUGIN.group not in [group.name for group in world.stream.backend.groups()]
    (only,) = await world.versions(0.2)
    await world.promote(only)
    world.decide(7, denied=2)
    assert list((await world.counted(7)).values()) == [(7, 2, 0)]
    assert PLUGIN.group in [group.name for group in world.stream.backend.groups()]


async def test_names_that_no_database_takes_are_those_of_nobody(world: World) -> None:
    odd = "agent\0-7"
    made = await world.genomes.snapshot(NewSnapshot(agent_id=odd, dna={"note": "a\0b"}, by=odd, reason=odd))
    assert made.dna == {"note": "a\0b"}
    assert (await world.genomes.history(odd))[0] == made
    world.decide(3, agent=odd, environment={"genome": "x\0y", "instance": odd})
    promoted = await world.rollouts.promote(odd, NewPromotion(snapshot_id=made.id, by="ann", reason=odd))
    assert (await world.rollouts.list(odd)) == [promoted]
    for looked in (world.studies.progress(odd), world.studies.ask(odd, odd), world.rollouts.roll_back("x\0", "ann")):
        with pytest.raises(NotFound):
            await looked
    assert await world.studies.list(odd) == []


async def _any(found: Any) -> bool:
    return bool(await found)


async def test_a_genome_that_is_no_worse_goes_on_and_is_compared_again(on_sqlite: World) -> None:
    world = on_sqlite
    good, other = await world.versions(0.2, 0.3)
    await world.promote(good)
    world.decide(100, denied=10)
    await world.counted(100)
    await world.promote(other)
    world.decide(450, denied=60)  # the first 200 have 30 % denials, which is more than 10 % and 10 %
    await world.counted(550)
    assert (await world.rollouts.current(AGENT)).dna == {"temperature": 0.2}
    again = await world.promote(other)
    for _ in range(4):
        world.decide(100, denied=15)
    await world.counted(950)
    (runs, *_) = await world.rollouts.list(AGENT)
    assert (runs.id, runs.passed, runs.decisions) == (again.id, 2, 0)


async def test_errors_of_the_agent_take_a_genome_back_as_well(on_sqlite: World) -> None:
    world = on_sqlite
    good, bad = await world.versions(0.2, 0.9)
    await world.promote(good)
    world.decide(50)
    await world.counted(50)
    await world.promote(bad)
    for number in range(30):
        world.stream.publish(task_event("task.failed", task_id=f"t{number}"))
    world.decide(200)
    await until(lambda: _any(world.events("dna.rolled_back")))
    (event,) = await world.events("dna.rolled_back")
    assert event.payload["reason"] == "errors 15.0% of 200 decisions, 0.0% before"


async def test_a_canary_takes_its_share_of_the_instances_and_ends_without_a_new_version(on_sqlite: World) -> None:
    world = on_sqlite
    good, candidate = await world.versions(0.2, 0.9)
    with pytest.raises(InvalidInput, match="promote a first one with share 1"):
        await world.promote(good, 0.5)
    await world.promote(good)
    await world.promote(candidate, 0.25)
    names = [f"i{number}" for number in range(400)]
    chosen = {name for name in names if (await world.rollouts.current(AGENT, name)).candidate}
    assert 60 < len(chosen) < 140
    assert (await world.rollouts.current(AGENT)).snapshot_id == good
    for name in names:
        world.decide(1, denied=int(name in chosen), environment={"instance": name})
    counted = await world.counted(400)
    hashes = [(await world.genomes.get(id)).genome_hash for id in (good, candidate)]
    assert counted == {hashes[0]: (400 - len(chosen), 0, 0), hashes[1]: (len(chosen), len(chosen), 0)}
    world.decide(5)  # who names no instance was given the baseline
    assert (await world.counted(405))[hashes[0]] == (405 - len(chosen), 0, 0)
    named = {"environment": {"genome": hashes[1]}}
    world.decide(200 - len(chosen), denied=200 - len(chosen), **named)  # a decision may name its genome itself
    await until(lambda: _any(world.events("dna.rolled_back")))
    runs = await world.rollouts.current(AGENT, next(iter(chosen)))
    assert (runs.snapshot_id, runs.candidate) == (good, False)
    assert [one.version for one in await world.genomes.history(AGENT)] == [2, 1]


async def test_nothing_runs_before_the_rules_and_a_person_agree(on_sqlite: World) -> None:
    world = on_sqlite
    first, second = await world.versions(0.2, 0.9)
    world.engine.delete_rule("may-promote")
    await until(lambda: _denied(world, first))
    with pytest.raises(NotFound, match="no promoted genome"):
        await world.rollouts.current(AGENT)
    asks = {"id": "ask", "name": "Ask", "effect": "AUDIT", "metadata": {"requires_approval": True}}
    world.engine.add_rule(Rule(**asks, conditions=[Condition("action", "==", "dna.apply")]))

    async def asked() -> bool:
        try:
            await world.promote(first)
        except ApprovalRequired:
            return True
        except ActionDenied:
            return False
        raise AssertionError("it runs without an approval")

    await until(asked)
    (waiting,) = world.engine.approvals.list()
    assert waiting.context["params"]["changes"] == {"temperature": {"old": None, "new": 0.2}}
    world.engine.approvals.grant(waiting.id, by="op")
    await world.promote(first)
    await until(lambda: _any(world.events("dna.promoted")))
    (event,) = await world.events("dna.promoted")
    assert (event.payload["rule_id"], event.payload["by"]) == ("ask", "ann")
    with pytest.raises(Conflict, match="runs already"):
        await world.promote(first)
    with pytest.raises(ApprovalRequired):
        await world.promote(second)


async def _denied(world: World, snapshot: int) -> bool:
    try:
        await world.promote(snapshot)
    except ActionDenied:
        return True
    except Conflict:
        raise AssertionError("it runs") from None
    return False


async def test_a_person_takes_a_genome_back_and_a_key_does_it_once(on_sqlite: World) -> None:
    world = on_sqlite
    first, second = await world.versions(0.2, 0.9)
    new = NewPromotion(snapshot_id=first, by="ann")
    assert await world.rollouts.promote(AGENT, new, key="k") == await world.rollouts.promote(AGENT, new, key="k")
    with pytest.raises(Conflict, match="no genome ran before"):
        await world.rollouts.roll_back(AGENT, "ann")
    await world.promote(second)
    back = [await world.rollouts.roll_back(AGENT, "ann", reason="odd", key="b") for _ in range(2)]
    assert back[0] == back[1]
    await until(lambda: _any(world.events("dna.rolled_back")))
    (event,) = await world.events("dna.rolled_back")
    assert (event.payload["automatic"], event.payload["by"], event.payload["reason"]) == (False, "ann", "odd")
    assert (await world.rollouts.current(AGENT)).dna == {"temperature": 0.2}
    older = await world.rollouts.roll_back(AGENT, "ann", snapshot_id=second)
    assert (await world.rollouts.current(AGENT)).dna == {"temperature": 0.9}
    assert older.watched is False


async def test_a_study_looks_at_what_happens_on_the_stream(on_sqlite: World) -> None:
    world = on_sqlite
    await world.versions(0.2)
    genes = {"temperature": {"kind": "float", "low": 0.0, "high": 1.0}}
    objective = Objective(kind="denial_rate", direction="minimize", at_least=10)
    given = {"agent_id": AGENT, "genes": genes, "owner": "ann", "sampler": "random", "budget": 3}
    study = await world.studies.start(NewStudy(**given, objective=objective))
    seen = 0
    for denied in (4, 1, 2):
        asked = await world.studies.ask(study.id, "ann")
        world.decide(10, denied=denied, genome=asked.snapshot.genome_hash)
        seen += 10
        await world.counted(seen)
        await world.studies.tell(study.id, asked.trial.number, Result(by="ann"))
    best = await world.studies.best(study.id)
    assert (best.trial.number, best.trial.score) == (1, 0.1)
    metric = Objective(kind="metric", direction="maximize", event="task.completed", field="result.total", at_least=2)
    study = await world.studies.start(NewStudy(**given, objective=metric))
    asked = await world.studies.ask(study.id, "ann")
    for total in (3.0, 4.0):
        result = {"genome": asked.snapshot.genome_hash, "result": {"total": total}}
        world.stream.publish(task_event("task.completed", **result))

    async def told() -> bool:
        try:
            trial = await world.studies.tell(study.id, asked.trial.number, Result(by="ann"))
        except Conflict:
            return False
        return trial.score == 3.5

    await until(told)


async def test_the_lineage_on_the_stream_is_that_of_the_tables(on_sqlite: World) -> None:
    world = on_sqlite
    first, second = await world.versions(0.2, 0.9)
    await world.promote(first)
    await world.promote(second)
    await world.rollouts.roll_back(AGENT, "ann")
    lineage = await world.genomes.lineage(AGENT)
    await until(lambda: _as_many(world, 3))
    made = [event.payload for event in await world.events("dna.snapshot_created")]
    edges = [(one["parent_snapshot_id"], one["snapshot_id"], one["source"]) for one in made]
    assert edges[1:] == [(edge.parent, edge.child, edge.kind) for edge in lineage.edges]
    assert [one["genome_hash"] for one in made] == [node.genome_hash for node in lineage.nodes]
    assert PLUGIN.group == "brain.dna"


async def _as_many(world: World, count: int) -> bool:
    return len(await world.events("dna.snapshot_created")) == count
