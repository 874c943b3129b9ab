"""The events of genomes, studies and rollouts."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

SnapshotId = Annotated[int, Meta(description="The snapshot's number.")]
Hash = Annotated[str, Meta(description="The genome's hash: the same for the same configuration.")]
Reason = Annotated[str, Meta(description="Why; empty when nobody said.")]
By = Annotated[str | None, Meta(description="Who did it; null: nobody said, or nobody did.")]
Parent = Annotated[int | None, Meta(description="The snapshot that it was made from; null for a first one.")]
Score = Annotated[float | None, Meta(description="The score in its study, or its karma; null for none.")]


class AboutSnapshot(TypedDict):
    """The keys of all events about a snapshot."""

    snapshot_id: SnapshotId
    agent_id: Annotated[str, Meta(description="Whose genome it is.")]
    version: Annotated[int, Meta(ge=1, description="The version of the agent's genome.")]


class SnapshotCreated(AboutSnapshot):
    """A new version of a genome."""

    source: Annotated[str, Meta(description="manual, system, mutation, study or rollback.")]
    parent_snapshot_id: Parent
    genome_hash: Hash
    dna_size: Annotated[int, Meta(ge=0, description="How many values it has.")]
    traits_count: Annotated[int, Meta(ge=0, description="How many traits it has.")]
    created_at: Annotated[float, Meta(description="When, in Unix seconds.")]
    reason: Reason
    by: By
    study_id: Annotated[str | None, Meta(description="The study that made it; null for none.")]
    trial: Annotated[int | None, Meta(description="Its trial in that study.")]


class MutationApplied(AboutSnapshot):
    """A version made from another one by changes."""

    parent_snapshot_id: Annotated[int, Meta(description="The snapshot that was changed.")]
    genome_hash: Hash
    mutation_keys: Annotated[list[str], Meta(description="The values that were put in.")]
    traits_delta: Annotated[dict[str, float], Meta(description="What was added to the traits.")]
    changes: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="The old and the new value of all that differs; traits as traits.NAME."),
    ]
    created_at: Annotated[float, Meta(description="When, in Unix seconds.")]
    reason: Reason
    by: By


class KarmaUpdated(AboutSnapshot):
    """A snapshot was judged."""

    karma_score: Annotated[float, Meta(ge=0, le=1, description="The score, 0 to 1.")]
    previous_score: Annotated[float | None, Meta(description="The score before; null for none.")]
    score_delta: Annotated[float | None, Meta(description="The difference; null without a score before.")]
    updated_at: Annotated[float, Meta(description="When, in Unix seconds.")]
    reason: Reason
    by: By


class AboutStudy(TypedDict):
    """The keys of all events about a study."""

    study_id: Annotated[str, Meta(description="The study's id.")]
    agent_id: Annotated[str, Meta(description="Whose genome it is about.")]


class StudyStarted(AboutStudy):
    """A search for a better genome began."""

    owner: Annotated[str, Meta(description="Who may change it.")]
    base_snapshot_id: Annotated[int, Meta(description="The snapshot whose values are replaced.")]
    genes: Annotated[dict[str, dict[str, Any]], Meta(description="Where it looks: kind, low, high, log, choices.")]
    objective: Annotated[dict[str, Any], Meta(description="What it looks for.")]
    sampler: Annotated[str, Meta(description="cmaes, tpe, nsga2 or random.")]
    seed: Annotated[int, Meta(description="The sampler's seed.")]
    budget: Annotated[int, Meta(description="How many trials are to be finished.")]


class TrialEvaluated(AboutStudy):
    """A trial ended."""

    trial: Annotated[int, Meta(ge=0, description="The trial's number.")]
    snapshot_id: SnapshotId
    genome_hash: Hash
    state: Annotated[str, Meta(description="COMPLETE, PRUNED or FAILED.")]
    score: Score
    scores: Annotated[dict[str, float], Meta(description="Further figures.")]
    duration_seconds: Annotated[float, Meta(ge=0, description="Seconds since it was asked for first.")]
    by: By


class StudyFinished(AboutStudy):
    """A study ended: its budget is used, or somebody stopped it."""

    state: Annotated[str, Meta(description="DONE or STOPPED.")]
    trials: Annotated[int, Meta(ge=0, description="Trials that have a score.")]
    best_trial: Annotated[int | None, Meta(description="The best one; null for none.")]
    snapshot_id: Annotated[int | None, Meta(description="Its snapshot.")]
    score: Score
    lineage_hash: Annotated[str, Meta(description="The same for the same trials with the same scores.")]


class Promoted(TypedDict):
    """A genome runs, for a share of an agent's instances or for all."""

    agent_id: Annotated[str, Meta(description="Whose genome it is.")]
    rollout_id: Annotated[str, Meta(description="The rollout's id.")]
    snapshot_id: SnapshotId
    genome_hash: Hash
    from_snapshot_id: Annotated[int | None, Meta(description="The baseline, which ran before; null for none.")]
    share: Annotated[float, Meta(gt=0, le=1, description="The share that gets it.")]
    changes: Annotated[dict[str, dict[str, Any]], Meta(description="The old and the new value of all that differs.")]
    rule_id: Annotated[str | None, Meta(description="The rule that allowed `dna.apply`; null: the default effect.")]
    by: By
    score: Score
    baseline_score: Score
    reason: Reason


class RolledBack(TypedDict):
    """A promoted genome was taken back."""

    agent_id: Annotated[str, Meta(description="Whose genome it is.")]
    rollout_id: Annotated[str, Meta(description="The rollout that ended.")]
    from_snapshot_id: Annotated[int, Meta(description="The snapshot that runs no more.")]
    to_snapshot_id: Annotated[int, Meta(description="The snapshot that runs now.")]
    genome_hash: Hash
    reason: Reason
    automatic: Annotated[bool, Meta(description="Whether its outcomes did it; else a person.")]
    by: By
    decisions: Annotated[int, Meta(ge=0, description="Decisions that were compared.")]
    denial_rate: Annotated[float, Meta(description="Their share of denials.")]
    error_rate: Annotated[float, Meta(description="Errors for each of them.")]
    baseline_denial_rate: Annotated[float | None, Meta(description="That of the baseline; null: not known.")]
    baseline_error_rate: Annotated[float | None, Meta(description="Likewise.")]


_HASH = "5f1d7a84" + "c0" * 28
_ABOUT: AboutSnapshot = {"snapshot_id": 42, "agent_id": "agent-7", "version": 3}
_CHANGES = {"temperature": {"old": 0.7, "new": 0.4}, "traits.caution": {"old": 0.5, "new": 0.6}}
_STUDY: AboutStudy = {"study_id": "st_8c0d2f5ab1e94773", "agent_id": "agent-7"}
_CREATED: SnapshotCreated = {
    **_ABOUT,
    "source": "mutation",
    "parent_snapshot_id": 41,
    "genome_hash": _HASH,
    "dna_size": 4,
    "traits_count": 1,
    "created_at": 1703001420.9,
    "reason": "fewer refusals",
    "by": "ann",
    "study_id": None,
    "trial": None,
}
_MUTATED: MutationApplied = {
    **_ABOUT,
    "parent_snapshot_id": 41,
    "genome_hash": _HASH,
    "mutation_keys": ["temperature"],
    "traits_delta": {"caution": 0.1},
    "changes": _CHANGES,
    "created_at": 1703001420.9,
    "reason": "fewer refusals",
    "by": "ann",
}
_KARMA: KarmaUpdated = {
    **_ABOUT,
    "karma_score": 0.8,
    "previous_score": 0.5,
    "score_delta": 0.3,
    "updated_at": 1703001500.2,
    "reason": "fewer refusals",
    "by": "ann",
}
_STARTED: StudyStarted = {
    **_STUDY,
    "owner": "ann",
    "base_snapshot_id": 41,
    "genes": {"temperature": {"kind": "float", "low": 0.0, "high": 1.0}},
    "objective": {"kind": "denial_rate", "direction": "minimize", "at_least": 20},
    "sampler": "cmaes",
    "seed": 1,
    "budget": 40,
}
_EVALUATED: TrialEvaluated = {
    **_STUDY,
    "trial": 7,
    "snapshot_id": 49,
    "genome_hash": _HASH,
    "state": "COMPLETE",
    "score": 0.02,
    "scores": {"seconds": 12.5},
    "duration_seconds": 31.2,
    "by": "worker-1",
}
_FINISHED: StudyFinished = {
    **_STUDY,
    "state": "DONE",
    "trials": 40,
    "best_trial": 31,
    "snapshot_id": 73,
    "score": 0.01,
    "lineage_hash": _HASH,
}
_PROMOTED: Promoted = {
    "agent_id": "agent-7",
    "rollout_id": "ro_1f6b0c3de8a2975d",
    "snapshot_id": 73,
    "genome_hash": _HASH,
    "from_snapshot_id": 41,
    "share": 0.1,
    "changes": _CHANGES,
    "rule_id": "genomes-need-a-person",
    "by": "ann",
    "score": 0.01,
    "baseline_score": None,
    "reason": "the best of study st_8c0d2f5ab1e94773",
}
_BACK: RolledBack = {
    "agent_id": "agent-7",
    "rollout_id": "ro_1f6b0c3de8a2975d",
    "from_snapshot_id": 73,
    "to_snapshot_id": 74,
    "genome_hash": _HASH,
    "reason": "denials 30.0 % of 200 decisions, 10.0 % before",
    "automatic": True,
    "by": None,
    "decisions": 200,
    "denial_rate": 0.3,
    "error_rate": 0.0,
    "baseline_denial_rate": 0.1,
    "baseline_error_rate": 0.0,
}

SNAPSHOT_CREATED = EventType(
    "dna.snapshot_created",
    "dna",
    SnapshotCreated,
    Priority.HIGH,
    Frequency.MEDIUM,
    "A version of an agent's genome was made.",
    _CREATED,
)
MUTATION_APPLIED = EventType(
    "dna.mutation_applied",
    "dna",
    MutationApplied,
    Priority.HIGH,
    Frequency.MEDIUM,
    "A genome was changed into a new version; it does not run before it is promoted.",
    _MUTATED,
)
KARMA_UPDATED = EventType(
    "dna.karma_updated",
    "dna",
    KarmaUpdated,
    Priority.MEDIUM,
    Frequency.MEDIUM,
    "A version of a genome was given a score.",
    _KARMA,
)
STUDY_STARTED = EventType(
    "dna.study_started",
    "dna",
    StudyStarted,
    Priority.MEDIUM,
    Frequency.LOW,
    "A search for a better genome began.",
    _STARTED,
)
TRIAL_EVALUATED = EventType(
    "dna.trial_evaluated",
    "dna",
    TrialEvaluated,
    Priority.MEDIUM,
    Frequency.HIGH,
    "A genome was tried in a study, with its score, or without one.",
    _EVALUATED,
)
STUDY_FINISHED = EventType(
    "dna.study_finished",
    "dna",
    StudyFinished,
    Priority.MEDIUM,
    Frequency.LOW,
    "A study has used its budget, or was stopped.",
    _FINISHED,
)
PROMOTED = EventType(
    "dna.promoted",
    "dna",
    Promoted,
    Priority.HIGH,
    Frequency.LOW,
    "A genome runs from now on, for a share of an agent's instances or for all.",
    _PROMOTED,
)
ROLLED_BACK = EventType(
    "dna.rolled_back",
    "dna",
    RolledBack,
    Priority.CRITICAL,
    Frequency.LOW,
    "A promoted genome was taken back, by a person or because its denials or errors were worse.",
    _BACK,
)

EVENTS: tuple[EventType[Any], ...] = (
    SNAPSHOT_CREATED,
    MUTATION_APPLIED,
    KARMA_UPDATED,
    STUDY_STARTED,
    TRIAL_EVALUATED,
    STUDY_FINISHED,
    PROMOTED,
    ROLLED_BACK,
)
