"""What the routes of genomes take and give."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.dna.lineage import Difference, Edge, Lineage, Node
from brain.dna.models import Gene, Objective, Outcome, Rollout, Snapshot, Study, Trial
from brain.dna.studies import StudyProgress, TrialGenome
from brain.dna.views import AgentState, Current, Outcomes
from brain.fields import Name, Object
from brain.kit.views import view_of

EXAMPLE_STUDY = "st_8c0d2f5ab1e94773"
MOST_TRIAL = 1_000_000
"""A trial's number at most."""


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


Id = Annotated[str, Field(min_length=1, max_length=limits.ID)]
Reason = Annotated[str, Field(max_length=limits.REASON)]
Number = Annotated[int, Field(ge=1, le=limits.COUNT)]
Score = Annotated[float, Field(ge=-1e300, le=1e300, allow_inf_nan=False)]
GENES = {"temperature": {"kind": "float", "low": 0.0, "high": 1.0}}


class NewSnapshotBody(BaseModel):
    """A genome to keep as an agent's next version."""

    model_config: ClassVar[ConfigDict] = _example(
        agent_id="agent-7", dna={"temperature": 0.7}, traits={"caution": 0.5}, genes=GENES, reason="as it is", by="ann"
    )

    agent_id: Id = Field(description="Whose genome it is.")
    dna: Object = Field(description="The configuration, by name.")
    traits: Object = Field(default_factory=dict, description="Traits: numbers by name.")
    genes: Object | None = Field(
        None, description="Types and bounds by name (kind, low, high, log, choices); null: those of the version before."
    )
    source: Literal["manual", "system"] = Field("manual", description="Whether a person or a program made it.")
    reason: Reason = Field("", description="Why.")
    by: Name | None = Field(None, description="Who made it.")


class MutationBody(BaseModel):
    """Changes of a genome, which make its next version."""

    model_config: ClassVar[ConfigDict] = _example(
        mutation={"temperature": 0.4}, traits_delta={"caution": 0.1}, reason="fewer refusals", by="ann"
    )

    mutation: Object = Field(default_factory=dict, description="Values to put in, by name.")
    traits_delta: Object = Field(default_factory=dict, description="Amounts to add to traits, by name.")
    parent_snapshot_id: Number | None = Field(None, description="What to change; null: the last version.")
    reason: Reason = Field("", description="Why.")
    by: Name | None = Field(None, description="Who changes it.")


class KarmaBody(BaseModel):
    """A score for a version of a genome."""

    model_config: ClassVar[ConfigDict] = _example(score=0.8, reason="a good week", by="ann")

    score: float = Field(ge=0, le=1, allow_inf_nan=False, description="From 0 to 1.")
    snapshot_id: Number | None = Field(None, description="The snapshot; null: the last version.")
    reason: Reason = Field("", description="Why.")
    by: Name | None = Field(None, description="Who judged it.")


class ObjectiveBody(BaseModel):
    """What a study looks for."""

    model_config: ClassVar[ConfigDict] = _example(kind="denial_rate")

    kind: Literal["score", "denial_rate", "error_rate", "metric"] = Field(
        "score", description="score: a worker gives it; the others are counted on the stream."
    )
    direction: Literal["minimize", "maximize"] | None = Field(
        None, description="Which scores are better; null: less of a rate, more of the others."
    )
    event: Annotated[str, Field(max_length=limits.ID)] | None = Field(None, description="Of a metric: the event type.")
    field: Annotated[str, Field(max_length=limits.ID)] | None = Field(
        None, description="Of a metric: the number in the payload, a dotted path."
    )
    statistic: Literal["mean", "sum", "count"] = Field("mean", description="Of a metric: what is made of its numbers.")
    at_least: int = Field(20, ge=1, le=limits.COUNT, description="Decisions, or events of a metric, for a score.")

    def read(self) -> Objective:
        """As the study keeps it."""
        less = self.kind in ("denial_rate", "error_rate")
        direction = self.direction or ("minimize" if less else "maximize")
        return Objective(**{**self.model_dump(), "direction": direction})


class NewStudyBody(BaseModel):
    """A search for a better genome."""

    model_config: ClassVar[ConfigDict] = _example(
        agent_id="agent-7", genes=GENES, objective={"kind": "denial_rate"}, owner="ann", workers=["worker-1"]
    )

    agent_id: Id = Field(description="Whose genome it is about.")
    genes: Object = Field(description="Where it looks, by name: kind, low, high, log, choices.")
    objective: ObjectiveBody = Field(default_factory=ObjectiveBody, description="What it looks for.")
    owner: Id = Field(description="Who may change it.")
    workers: list[Id] = Field(default_factory=list, max_length=100, description="Who may ask and tell besides.")
    sampler: Literal["cmaes", "tpe", "nsga2", "random"] = Field("cmaes", description="How it looks.")
    seed: int = Field(1, ge=0, le=2**32 - 1, description="The same seed makes the same proposals.")
    budget: int = Field(40, ge=1, le=100_000, description="How many trials are to be finished.")
    base_snapshot_id: Number | None = Field(None, description="What the genes are put into; null: the last version.")
    lease_seconds: float | None = Field(
        None, ge=1, le=86_400, allow_inf_nan=False, description="Seconds for one trial; null: as in the settings."
    )


class Worker(BaseModel):
    """Who asks, or who ends a study."""

    model_config: ClassVar[ConfigDict] = _example(by="worker-1")

    by: Id = Field(description="The owner, or one of the workers.")


class ResultBody(BaseModel):
    """What came of a trial."""

    model_config: ClassVar[ConfigDict] = _example(by="worker-1", score=0.94, scores={"seconds": 12.5})

    by: Id = Field(description="The owner, or one of the workers.")
    score: Score | None = Field(None, description="The score; null: the one that was counted on the stream.")
    scores: Object = Field(default_factory=dict, description="Further figures: numbers by name.")
    state: Literal["COMPLETE", "PRUNED", "FAILED"] = Field("COMPLETE", description="How it ended.")


class PromotionBody(BaseModel):
    """A snapshot that is to run."""

    model_config: ClassVar[ConfigDict] = _example(snapshot_id=73, share=0.1, by="ann", reason="the best of a study")

    snapshot_id: Number = Field(description="The snapshot.")
    share: float = Field(
        1.0, ge=0.0001, le=1, allow_inf_nan=False, description="The share of the agent's instances that gets it."
    )
    by: Id = Field(description="Who wants it: the agent that the rules decide on.")
    reason: Reason = Field("", description="Why.")


class RollbackBody(BaseModel):
    """A promoted genome that is to be taken back."""

    model_config: ClassVar[ConfigDict] = _example(by="ann", reason="too many refusals")

    by: Id = Field(description="Who wants it: the agent that the rules decide on.")
    snapshot_id: Number | None = Field(None, description="What is to run instead; null: what ran before.")
    reason: Reason = Field("", description="Why.")


GeneView: type[BaseModel] = view_of(Gene)
SnapshotView: type[BaseModel] = view_of(Snapshot)
ObjectiveView: type[BaseModel] = view_of(Objective)
StudyView: type[BaseModel] = view_of(Study)
TrialView: type[BaseModel] = view_of(Trial)
TrialGenomeView: type[BaseModel] = view_of(TrialGenome)
StudyProgressView: type[BaseModel] = view_of(StudyProgress)
RolloutView: type[BaseModel] = view_of(Rollout)
OutcomeView: type[BaseModel] = view_of(Outcome, properties=("denial_rate", "error_rate"))
OutcomesView: type[BaseModel] = view_of(Outcomes)
AgentStateView: type[BaseModel] = view_of(AgentState, "AgentWithGenomes")
CurrentView: type[BaseModel] = view_of(Current, "CurrentGenome")
NodeView: type[BaseModel] = view_of(Node, "LineageNode")
EdgeView: type[BaseModel] = view_of(Edge, "LineageEdge")
LineageView: type[BaseModel] = view_of(Lineage)
DifferenceView: type[BaseModel] = view_of(Difference)
