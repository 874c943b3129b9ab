"""Genomes: versions that never change, amounts that are added, karma that is not inherited, bounds, lineage, keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from brain.charter import Event
from brain.dna.models import Gene, Genome, OutOfBounds, added, bucket_of, changes_between, check_genes
from brain.dna.plugin import PLUGIN
from brain.dna.service import GenomeService, Mutation, NewSnapshot
from brain.dna.tables import make_tables
from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit import outbox
from brain.kit.database import open_database
from brain.kit.outbox.reports import reports
from brain.testing import check_plugin
from support.clock import Clock

BOUNDS = {
    "temperature": {"kind": "float", "low": 0.0, "high": 1.0},
    "retries": {"kind": "int", "low": 0, "high": 5},
    "model": {"kind": "choice", "choices": ["small", "large"]},
    "traits.caution": {"kind": "float", "low": 0.0, "high": 1.0},
}
DNA = {"temperature": 0.7, "retries": 2, "model": "small", "note": "free"}


@pytest.fixture
def database() -> Iterator[sa.Engine]:
    engine = open_database("memory://")
    make_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def genomes(database: sa.Engine) -> GenomeService:
    return GenomeService(database, Clock())


def announced(database: sa.Engine) -> list[Event]:
    with database.begin() as db:
        rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars()
        return [Event.decode(data) for data in rows]


def first(**more: Any) -> NewSnapshot:
    return NewSnapshot(**{"agent_id": "a1", "dna": DNA, "traits": {"caution": 0.5}, "genes": BOUNDS, **more})


def test_the_declaration_is_sound() -> None:
    check_plugin(PLUGIN)
    assert PLUGIN.group == "brain.dna"


async def test_an_amount_is_added_to_a_trait(genomes: GenomeService, database: sa.Engine) -> None:
    await genomes.snapshot(first())
    made = await genomes.mutate("a1", Mutation(mutation={"temperature": 0.4}, traits_delta={"caution": 0.1}))
    assert made.traits == {"caution": 0.6}
    assert made.dna == {**DNA, "temperature": 0.4}
    assert (made.version, made.source, made.parent_snapshot_id) == (2, "mutation", 1)
    event = announced(database)[-1]
    assert event.type == "dna.mutation_applied"
    assert event.payload["changes"] == {
        "temperature": {"old": 0.7, "new": 0.4},
        "traits.caution": {"old": 0.5, "new": 0.6},
    }
    assert event.payload["traits_delta"] == {"caution": 0.1}


async def test_a_snapshot_never_changes_and_karma_is_not_inherited(genomes: GenomeService, database: sa.Engine) -> None:
    one = await genomes.snapshot(first())
    await genomes.set_karma("a1", 0.5)
    judged = await genomes.set_karma("a1", 0.8, by="ann")
    assert judged.karma_score == 0.8
    other = await genomes.mutate("a1", Mutation(traits_delta={"caution": -0.5}))
    assert (other.karma_score, other.traits) == (None, {"caution": 0.0})
    kept = await genomes.get(one.id)
    assert (kept.dna, kept.traits, kept.genome_hash) == (one.dna, one.traits, one.genome_hash)
    events = [event for event in announced(database) if event.type == "dna.karma_updated"]
    told = [(one.payload["previous_score"], one.payload["score_delta"]) for one in events]
    assert told == [(None, None), (0.5, 0.3)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"temperature": 1.1}, "temperature: 1.1 is outside of 0 to 1"),
        ({"temperature": "hot"}, "temperature: 'hot' is not a number"),
        ({"temperature": True}, "temperature: True is not a number"),
        ({"retries": 2.5}, "retries: 2.5 is not a whole number"),
        ({"model": "huge"}, "model: 'huge' is not one of"),
    ],
)
async def test_out_of_bounds_is_refused_by_name_and_reported_once(
    genomes: GenomeService, database: sa.Engine, changes: dict[str, Any], named: str
) -> None:
    await genomes.snapshot(first())
    for _ in range(2):
        with pytest.raises(OutOfBounds, match=named):
            await genomes.mutate("a1", Mutation(mutation=changes, by="ann"))
    with pytest.raises(OutOfBounds, match=r"traits\.caution: 1\.1 is outside"):
        await genomes.mutate("a1", Mutation(traits_delta={"caution": 0.6}))
    assert [one.version for one in await genomes.history("a1")] == [1]
    with database.begin() as db:
        kept = db.execute(sa.select(reports.c.report)).scalars().all()
    assert sorted((one["kind"], one["module"]) for one in kept) == [("POLICY_VIOLATION", "a1")] * 2


async def test_bounds_are_those_of_the_version_before_unless_new_ones_are_given(genomes: GenomeService) -> None:
    await genomes.snapshot(first())
    with pytest.raises(OutOfBounds):
        await genomes.snapshot(first(dna={"temperature": 3.0}, genes=None))
    wider = {"temperature": {"kind": "float", "low": 0.0, "high": 5.0}}
    made = await genomes.snapshot(first(dna={"temperature": 3.0}, genes=wider))
    difference = await genomes.diff(1, made.id)
    assert difference.genes == ["model", "retries", "temperature", "traits.caution"]
    assert difference.changes["temperature"] == {"old": 0.7, "new": 3.0}


async def test_lineage_is_the_same_for_the_same_history(genomes: GenomeService) -> None:
    hashes = []
    for agent in ("a1", "a2"):
        await genomes.snapshot(first(agent_id=agent, by=agent))
        await genomes.mutate(agent, Mutation(mutation={"retries": 3}))
        await genomes.mutate(agent, Mutation(mutation={"retries": 4}, parent_snapshot_id=(len(hashes) * 3) + 1))
        lineage = await genomes.lineage(agent)
        hashes.append(lineage.lineage_hash)
    assert hashes[0] == hashes[1]
    assert [(edge.parent, edge.child, edge.kind) for edge in lineage.edges] == [(4, 5, "mutation"), (4, 6, "mutation")]
    await genomes.mutate("a2", Mutation(mutation={"retries": 5}))
    assert (await genomes.lineage("a2")).lineage_hash != hashes[0]
    assert [state.agent_id for state in await genomes.agents()] == ["a1", "a2"]


async def test_with_a_key_the_same_call_again_finds_what_the_first_one_made(
    genomes: GenomeService, database: sa.Engine
) -> None:
    made = [await genomes.snapshot(first(), key="k") for _ in range(2)]
    mutated = [await genomes.mutate("a1", Mutation(mutation={"retries": 3}), key="k") for _ in range(2)]
    assert (made[0], mutated[0]) == (made[1], mutated[1])
    assert len(announced(database)) == 3
    with pytest.raises(Conflict, match="from other content"):
        await genomes.snapshot(first(reason="another"), key="k")


async def test_what_is_no_genome_is_refused(genomes: GenomeService, database: sa.Engine) -> None:
    with pytest.raises(NotFound, match="has no genome"):
        await genomes.mutate("a1", Mutation(mutation={"a": 1}))
    for new, named in (
        (first(traits={"caution": "much"}), r"traits\.caution: 'much' is not a number"),
        (first(dna={"a": float("nan")}), "dna: nan is not a number"),
        (first(genes={"a": {"kind": "float", "low": 2, "high": 1}}), r"genes\.a: low 2 is above high 1"),
        (first(genes={"a": {"kind": "colour"}}), r"genes\.a: "),
        (first(agent_id=""), "agent_id: needs 1 to"),
    ):
        with pytest.raises(InvalidInput, match=named):
            await genomes.snapshot(new)
    with pytest.raises(InvalidInput, match="nothing is changed"):
        await genomes.mutate("a1", Mutation())
    assert announced(database) == []


def test_bad_genes_are_named() -> None:
    bad = {
        "a": Gene(kind="float"),
        "b": Gene(kind="float", low=0, high=1, log=True),
        "c": Gene(kind="int", low=0.5, high=2),
        "d": Gene(kind="choice"),
        "e": Gene(kind="choice", choices=[1, 1]),
    }
    with pytest.raises(InvalidInput) as caught:
        check_genes(bad)
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [f"genes.{name}" for name in "abcde"]


@given(value=st.floats(-1e6, 1e6), delta=st.floats(-1e6, 1e6))
def test_a_sum_is_near_to_that_of_floats(value: float, delta: float) -> None:
    assert added(value, delta) == pytest.approx(value + delta, abs=1e-9)
    assert added(0.1, 0.2) == 0.3


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(-9, 9), st.floats(-9, 9), st.text(max_size=3))))
def test_genomes_differ_exactly_where_their_hashes_do(values: dict[str, Any]) -> None:
    base = Genome(dna={"a": 1}, traits={})
    other = Genome(dna={"a": 1, **values}, traits={})
    assert (base.hash == other.hash) == (changes_between(base, other) == {})
    assert other.hash == Genome(dna=dict(reversed(other.dna.items())), traits={}).hash


def test_a_share_takes_its_part_of_the_units_and_always_the_same() -> None:
    units = [f"instance-{number}" for number in range(4_000)]
    taken = {unit for unit in units if bucket_of("a1", "hash", unit) < 0.25}
    assert 900 < len(taken) < 1_100
    assert taken <= {unit for unit in units if bucket_of("a1", "hash", unit) < 0.5}
    assert taken != {unit for unit in units if bucket_of("a1", "other", unit) < 0.25}
