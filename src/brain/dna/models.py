"""What genomes, studies and rollouts are, and the rules for them that need no database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from brain.errors import BrainError, InvalidInput

CONSUMER = "dna"
"""The name of this plug-in in the outbox."""
TRAIT = "traits."
"""How the name of a gene begins that is a trait; all others are keys of `dna`."""


class OutOfBounds(InvalidInput):
    """A genome that leaves the bounds or types of its genes; `faults` names each."""

    title = "Out of bounds"


class NotTheOwner(BrainError):
    """A study is changed by its owner and by the workers that the owner named."""

    status = 403
    title = "Not the owner"


class Source(StrEnum):
    """How a snapshot was made."""

    MANUAL = "manual"
    SYSTEM = "system"
    MUTATION = "mutation"
    STUDY = "study"
    ROLLBACK = "rollback"


class TrialState(StrEnum):
    """Where a trial stands."""

    RUNNING = "RUNNING"
    COMPLETE = "COMPLETE"
    PRUNED = "PRUNED"
    FAILED = "FAILED"


class StudyState(StrEnum):
    """Where a study stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    STOPPED = "STOPPED"


class RolloutState(StrEnum):
    """Where a rollout stands: followed, over because another one began, or taken back."""

    ACTIVE = "ACTIVE"
    REPLACED = "REPLACED"
    ROLLED_BACK = "ROLLED_BACK"


class Gene(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One gene: its type and bounds."""

    kind: Annotated[Literal["float", "int", "choice"], Meta(description="float, int or choice.")]
    low: Annotated[float | None, Meta(description="The least value of a number.")] = None
    high: Annotated[float | None, Meta(description="The largest value of a number.")] = None
    log: Annotated[bool, Meta(description="Whether a study looks on a logarithmic scale.")] = False
    choices: Annotated[list[str | int | float | bool] | None, Meta(description="The values of a choice.")] = None

    def faults(self) -> Iterator[str]:
        """What is wrong with the gene itself."""
        if self.kind == "choice":
            if not self.choices:
                yield "a choice needs choices"
            if len({repr(one) for one in self.choices or ()}) < len(self.choices or ()):
                yield "choices are given twice"
            return
        if self.low is None or self.high is None or not (isfinite(self.low) and isfinite(self.high)):
            yield "a number needs low and high"
        elif self.low > self.high:
            yield f"low {self.low:g} is above high {self.high:g}"
        elif self.log and self.low <= 0:
            yield f"log needs a low above 0, not {self.low:g}"
        elif self.kind == "int" and (self.low != int(self.low) or self.high != int(self.high)):
            yield "low and high of an int are whole numbers"

    def fault_of(self, value: object) -> str | None:
        """What is wrong with a value of the gene; None when nothing is."""
        if self.kind == "choice":
            fits = any(value == one and type(value) is type(one) for one in self.choices or ())
            return None if fits else f"{value!r} is not one of {self.choices}"
        number = isinstance(value, int) or (isinstance(value, float) and self.kind == "float")
        if not number or isinstance(value, bool):
            return f"{value!r} is not {'a number' if self.kind == 'float' else 'a whole number'}"
        assert self.low is not None
        assert self.high is not None
        if not self.low <= value <= self.high:  # type: ignore[operator]
            return f"{value!r} is outside of {self.low:g} to {self.high:g}"
        return None


Genes = Mapping[str, Gene]


class Genome(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration: what an agent runs with."""

    dna: dict[str, Any]
    traits: dict[str, float]

    @property
    def hash(self) -> str:
        """The same for the same configuration, whoever made it: SHA-256 of the canonical JSON."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    def values(self) -> dict[str, Any]:
        """Every value by the name of its gene."""
        return {**self.dna, **{f"{TRAIT}{name}": value for name, value in self.traits.items()}}

    def mutated(self, mutation: Mapping[str, Any], traits_delta: Mapping[str, float]) -> Genome:
        """With these values put in, and these amounts added to the traits; a trait that is not there begins at 0."""
        traits = dict(self.traits)
        for name, delta in traits_delta.items():
            traits[name] = added(traits.get(name, 0.0), delta)
        return Genome(dna={**self.dna, **mutation}, traits=traits)

    def with_genes(self, values: Mapping[str, Any]) -> Genome:
        """With these values of genes, by their names."""
        dna = {name: value for name, value in values.items() if not name.startswith(TRAIT)}
        traits = {name.removeprefix(TRAIT): value for name, value in values.items() if name.startswith(TRAIT)}
        return Genome(dna={**self.dna, **dna}, traits={**self.traits, **traits})

    def check(self, genes: Genes) -> None:
        """Raises OutOfBounds, naming each gene, when a value does not fit its gene."""
        values = self.values()
        faults = [
            f"{name}: {fault}"
            for name, gene in genes.items()
            if name in values and (fault := gene.fault_of(values[name])) is not None
        ]
        if faults:
            raise OutOfBounds("; ".join(faults), faults)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agent's genome. It never changes; its karma is kept beside it."""

    id: Annotated[int, Meta(description="The snapshot's number.")]
    agent_id: Annotated[str, Meta(description="Whose genome it is.")]
    version: Annotated[int, Meta(description="The version, counted from 1 for each agent.")]
    dna: Annotated[dict[str, Any], Meta(description="The configuration.")]
    traits: Annotated[dict[str, float], Meta(description="Traits, as numbers.")]
    genes: Annotated[dict[str, Gene], Meta(description="Types and bounds, by the name of the value.")]
    genome_hash: Annotated[str, Meta(description="The same for the same configuration: SHA-256, in hex.")]
    source: Annotated[str, Meta(description="manual, system, mutation, study or rollback.")]
    parent_snapshot_id: Annotated[int | None, Meta(description="What it was made from; null for a first one.")]
    study_id: Annotated[str | None, Meta(description="The study that made it.")]
    trial: Annotated[int | None, Meta(description="Its trial in that study.")]
    reason: Annotated[str, Meta(description="Why it was made; may be empty.")]
    by: Annotated[str | None, Meta(description="Who made it.")]
    correlation_id: Annotated[str | None, Meta(description="The correlation id of its event.")]
    created_at: Annotated[float, Meta(description="When, in Unix seconds.")]
    karma_score: Annotated[float | None, Meta(description="Its last karma, 0 to 1; null while it has none.")] = None

    @property
    def genome(self) -> Genome:
        """The configuration alone."""
        return Genome(dna=self.dna, traits=self.traits)


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """What a study looks for."""

    kind: Annotated[
        Literal["score", "denial_rate", "error_rate", "metric"],
        Meta(description="score: as it is given; the others are counted on the stream."),
    ]
    direction: Annotated[Literal["minimize", "maximize"], Meta(description="Which scores are better.")]
    event: Annotated[str | None, Meta(description="Of a metric: the event type.")] = None
    field: Annotated[str | None, Meta(description="Of a metric: the number in the payload, a dotted path.")] = None
    statistic: Annotated[Literal["mean", "sum", "count"], Meta(description="Of a metric: what is made of it.")] = "mean"
    at_least: Annotated[int, Meta(description="Decisions, or events of a metric, that a score needs.")] = 20


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """A search for a better genome of an agent."""

    id: Annotated[str, Meta(description="The study's id.")]
    agent_id: Annotated[str, Meta(description="Whose genome it is about.")]
    owner: Annotated[str, Meta(description="Who may change it.")]
    workers: Annotated[list[str], Meta(description="Who may ask and tell besides.")]
    base_snapshot_id: Annotated[int, Meta(description="The snapshot whose values the genes replace.")]
    genes: Annotated[dict[str, Gene], Meta(description="Where it looks.")]
    objective: Annotated[Objective, Meta(description="What it looks for.")]
    sampler: Annotated[str, Meta(description="cmaes, tpe, nsga2 or random.")]
    seed: Annotated[int, Meta(description="The sampler's seed.")]
    budget: Annotated[int, Meta(description="How many trials are to be finished.")]
    lease_seconds: Annotated[float, Meta(description="Seconds for one trial.")]
    state: Annotated[StudyState, Meta(description="RUNNING, DONE or STOPPED.")]
    created_at: Annotated[float, Meta(description="When it was started, in Unix seconds.")]

    def check_writer(self, by: str) -> None:
        """Raises NotTheOwner unless `by` is the owner or one of the workers."""
        if by != self.owner and by not in self.workers:
            raise NotTheOwner(
                f"study {self.id} is changed by its owner {self.owner} and by its workers alone, not by {by}"
            )


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One genome tried in a study."""

    study_id: Annotated[str, Meta(description="The study.")]
    number: Annotated[int, Meta(description="The trial's number, from 0.")]
    snapshot_id: Annotated[int, Meta(description="The genome that is tried.")]
    genome_hash: Annotated[str, Meta(description="Its hash.")]
    params: Annotated[dict[str, Any], Meta(description="The values of the genes.")]
    state: Annotated[TrialState, Meta(description="RUNNING, COMPLETE, PRUNED or FAILED.")]
    score: Annotated[float | None, Meta(description="The score; null until it is there.")]
    scores: Annotated[dict[str, float], Meta(description="Further figures, by name.")]
    attempts: Annotated[int, Meta(description="How often it was given to a worker.")]
    asked_by: Annotated[str, Meta(description="Who asked for it last.")]
    asked_at: Annotated[float, Meta(description="When it was asked for first, in Unix seconds.")]
    lease_until: Annotated[float, Meta(description="Until when the worker has it, in Unix seconds.")]
    told_at: Annotated[float | None, Meta(description="When its result came, in Unix seconds.")]
    told_by: Annotated[str | None, Meta(description="Who gave the result; null: the lease was over.")]


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """The time in which a genome runs, for a share or for all of an agent's instances."""

    id: Annotated[str, Meta(description="The rollout's id.")]
    agent_id: Annotated[str, Meta(description="Whose genome runs.")]
    snapshot_id: Annotated[int, Meta(description="The promoted snapshot.")]
    genome_hash: Annotated[str, Meta(description="Its hash.")]
    from_snapshot_id: Annotated[int | None, Meta(description="The baseline; null: there was none.")]
    baseline_hash: Annotated[str | None, Meta(description="The baseline's hash.")]
    share: Annotated[float, Meta(description="The share that runs it, above 0 up to 1.")]
    state: Annotated[RolloutState, Meta(description="ACTIVE, REPLACED or ROLLED_BACK.")]
    watched: Annotated[bool, Meta(description="Whether it is taken back when it is worse.")]
    decisions: Annotated[int, Meta(description="Decisions since the last comparison.")]
    denials: Annotated[int, Meta(description="Of them denied.")]
    errors: Annotated[int, Meta(description="Errors since the last comparison.")]
    passed: Annotated[int, Meta(description="How many comparisons it has passed.")]
    reason: Annotated[str, Meta(description="Why it was promoted, or taken back.")]
    started_at: Annotated[float, Meta(description="From when, in Unix seconds.")]
    ended_at: Annotated[float | None, Meta(description="Until when, in Unix seconds; null: it runs.")]

    def holds_at(self, at: float) -> bool:
        """Whether it ran at this Unix time."""
        return self.started_at <= at and (self.ended_at is None or at < self.ended_at)

    def takes(self, unit: str | None) -> bool:
        """Whether an instance, or one decision, gets the promoted genome: by a hash, so always the same."""
        return self.share >= 1 or (unit is not None and bucket_of(self.agent_id, self.genome_hash, unit) < self.share)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one genome of an agent."""

    genome_hash: Annotated[str, Meta(description="The genome.")]
    decisions: Annotated[int, Meta(description="Policy decisions.")]
    denials: Annotated[int, Meta(description="Of them denied.")]
    errors: Annotated[int, Meta(description="Errors.")]

    @property
    def denial_rate(self) -> float:
        """The share of denied decisions; 0 without any."""
        return self.denials / self.decisions if self.decisions else 0.0

    @property
    def error_rate(self) -> float:
        """Errors for each decision; 0 without any."""
        return self.errors / self.decisions if self.decisions else 0.0


def added(value: float, delta: float) -> float:
    """The sum as people write it: 0.1 and 0.2 are 0.3."""
    return float(Decimal(repr(value)) + Decimal(repr(delta)))


def changes_between(old: Genome | None, new: Genome) -> dict[str, dict[str, Any]]:
    """The old and the new value of every gene that differs, by its name; a missing value is null."""
    before, after = {} if old is None else old.values(), new.values()
    return {
        name: {"old": before.get(name), "new": after.get(name)}
        for name in sorted({*before, *after})
        if name not in before or name not in after or not _same(before[name], after[name])
    }


def _same(one: Any, other: Any) -> bool:
    """1 and true are not the same, nor are 1 and 1.0: they have other hashes."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def check_genes(genes: Genes) -> None:
    """Raises InvalidInput, naming each gene that is none."""
    faults = [f"genes.{name}: {fault}" for name, gene in genes.items() for fault in gene.faults()]
    if faults:
        raise InvalidInput("; ".join(faults), faults)


def bucket_of(agent_id: str, genome_hash: str, unit: str) -> float:
    """A number from 0 up to 1, the same for the same unit, and another one for every genome."""
    digest = hashlib.sha256(f"{agent_id}\0{genome_hash}\0{unit}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)


def lineage_hash(steps: Sequence[Sequence[Any]]) -> str:
    """SHA-256 of these steps: equal for equal histories, whenever and wherever they were made."""
    return hashlib.sha256(msgspec.json.encode(steps, order="deterministic")).hexdigest()
