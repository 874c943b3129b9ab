"""The settings of genomes: the table `[dna]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from brain.charter import Pattern

Patterns = tuple[Annotated[str, Field(min_length=1, max_length=200)], ...]


class DnaSettings(BaseModel):
    """When a promoted genome is taken back, what counts as an error, and how long a trial may take."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    decisions: int = Field(
        default=200, ge=10, le=1_000_000, description="Decisions after which a promoted genome is compared, each time"
    )
    margin: float = Field(
        default=0.1, gt=0, le=1, description="How much its share of denials or errors may be above its baseline's"
    )
    baseline_decisions: int = Field(
        default=20, ge=1, description="Decisions that a baseline needs; with fewer, `without_baseline` is the limit"
    )
    without_baseline: float = Field(
        default=0.5, gt=0, le=1, description="Share of denials or errors that is too much where no baseline is known"
    )
    errors: Patterns = Field(
        default=("task.failed",),
        description="Event types that are an error of the agent in their `agent_id`; at its health events besides",
    )
    metrics: Patterns = Field(
        default=("task.*",), description="Event types whose numbers can be the objective of a study"
    )
    lease_seconds: float = Field(
        default=600.0, ge=1, le=86_400, description="Seconds for one trial; then it is given to the next who asks"
    )
    abandoned_seconds: float = Field(
        default=3600.0, ge=0, description="Seconds after its lease in which nobody asked for it, until a trial fails"
    )

    @field_validator("errors", "metrics")
    @classmethod
    def _are_patterns(cls, patterns: Patterns) -> Patterns:
        for pattern in patterns:
            Pattern(pattern)
        return patterns

    @property
    def listens(self) -> tuple[str, ...]:
        """The patterns of all events that count for or against a genome."""
        return tuple(dict.fromkeys(("policy.rule_evaluated", "immune.event_published", *self.errors, *self.metrics)))
