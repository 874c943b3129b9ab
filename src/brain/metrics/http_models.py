"""What the metrics' routes take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brain import limits
from brain.errors import InvalidInput
from brain.fields import Object
from brain.kit.http import TIME_FORMS, TimeText
from brain.kit.views import view_of
from brain.metrics.definition_views import DefinedSlo, Definitions
from brain.metrics.kinds import Statistic
from brain.metrics.query import NAMES, Series
from brain.metrics.state import OpenThreats
from brain.metrics.summary import MetricsSummary

if TYPE_CHECKING:
    from brain.metrics.definitions import DefinitionSet

SinceQuery = Annotated[
    TimeText | None, Query(description=f"From: {TIME_FORMS}; an hour before `until` when left out.", examples=["24h"])
]
UntilQuery = Annotated[
    TimeText | None, Query(description=f"To: {TIME_FORMS}; now when left out.", examples=["2024-12-28T09:30:00Z"])
]


class SeriesFilters(BaseModel):
    """Which series is asked for, over which time."""

    name: str = Field(
        max_length=limits.TYPE,
        description=f"Which series: {', '.join(NAMES)}, or a metric that is defined.",
        examples=["decisions"],
    )
    by: str | None = Field(
        None,
        max_length=limits.TYPE,
        description="What it is split by: events by type, module or severity; decisions by effect, agent or "
        "action; denials and denial_rate by agent or action; a defined metric by its labels; the first when left out.",
        examples=["effect"],
    )
    since: TimeText | None = Field(
        None, description=f"From: {TIME_FORMS}; an hour before `until` when left out.", examples=["24h"]
    )
    until: TimeText | None = Field(
        None, description=f"To: {TIME_FORMS}; now when left out.", examples=["2024-12-28T09:30:00Z"]
    )
    step: int | None = Field(
        None, ge=1, le=31_536_000, description="Seconds between points; made coarser where that is not kept."
    )
    statistic: Statistic | None = Field(
        None, description="Of a defined metric: which figure; for a counter the sum, a gauge the last, else the mean."
    )
    top: int = Field(20, ge=1, le=200, description="Most lines; the rest are added up as `other`.")


_DEFINED: dict[str, Any] = {
    "definitions": {
        "tasks": {"kind": "counter", "events": "task.*"},
        "task_failures": {"kind": "counter", "events": "task.failed", "labels": {"agent": "agent_id"}},
    },
    "limits": {"failures_of_an_agent": {"metric": "task_failures", "by": "agent", "above": 10}},
    "slos": {"tasks": {"total": "tasks", "bad": "task_failures", "objective": 0.999}},
}


class NewDefinitions(BaseModel):
    """All that the API defines, in the place of what it defined before; docs/metrics.md has the keys of each."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_DEFINED]})

    version: int | None = Field(
        default=None,
        ge=0,
        le=limits.COUNT,
        description="The version that this is made from: refused when it was changed meanwhile; any when left out",
    )

    definitions: Object = Field(
        default_factory=dict,
        description="Metrics by name: kind, events, where, value, labels, bounds, decimals, help",
    )
    limits: Object = Field(
        default_factory=dict,
        description="Limits by name: metric, by, statistic, window_seconds, above or below, clear, for_seconds, "
        "clear_seconds, threat",
    )
    slos: Object = Field(
        default_factory=dict,
        description="Objectives by name: total, good or bad, objective, window_days, windows, module",
    )

    def defined(self) -> DefinitionSet:
        """Read as definitions. Raises InvalidInput, naming the places."""
        from brain.metrics.definitions import DefinitionSet, faults  # their models are built when they are wanted

        given = {"definitions": self.definitions, "limits": self.limits, "slos": self.slos}
        try:
            return DefinitionSet.model_validate(given)
        except ValidationError as error:
            raise InvalidInput(faults(error)) from error


_SERIES: dict[str, Any] = {
    "name": "decisions",
    "by": "effect",
    "since": 1703001200,
    "until": 1703001320,
    "step": 60,
    "series": [{"labels": {"effect": "DENY"}, "points": [[1703001200, 4], [1703001260, 0]]}],
    "open": None,
    "statistic": None,
    "epoch": None,
    "covers_since": None,
}
_SUMMARY: dict[str, Any] = {
    "since": 1703001200,
    "until": 1703004800,
    "step": 10,
    "events": 5120,
    "decisions": {"ALLOW": 2290, "DENY": 170, "WARN": 30, "AUDIT": 10},
    "denial_rate": 0.068,
    "denial_rate_by_agent": [{"name": "agent-7", "decisions": 120, "denials": 96, "denial_rate": 0.8}],
    "denial_rate_by_action": [{"name": "delete", "decisions": 90, "denials": 81, "denial_rate": 0.9}],
    "detected": {"CRITICAL": 1, "HIGH": 2},
    "mttd_seconds": 12.5,
    "mtti_seconds": 41.0,
    "mttm_seconds": 310.2,
    "mttr_seconds": None,
    "resolution_rate": 0.667,
    "open": {
        "count": 1,
        "mean_age_seconds": 1800.0,
        "oldest_age_seconds": 1800.0,
        "oldest_id": "thr_4f1a09be27c3d815",
    },
    "healing": {"healed": 3},
    "health_score": 92,
}
_SLO: dict[str, Any] = {
    "name": "tasks",
    "source": "api",
    "definition": {"total": "tasks", "bad": "task_failures", "objective": 0.999},
    "burn_rates": {"300": 16.1, "3600": 14.9},
    "budget_left": 0.82,
    "burning_since": 1703001420.0,
}
_DEFINITIONS: dict[str, Any] = {
    "version": 3,
    "changed_at": 1703001420.0,
    "definitions": [
        {
            "name": "task_failures",
            "source": "api",
            "definition": {"kind": "counter", "events": ["task.failed"], "labels": {"agent": "agent_id"}},
            "epoch": 1,
            "began_at": 1703001420.0,
            "counts_after": "4711",
            "former": [],
        }
    ],
    "limits": [
        {
            "name": "failures_of_an_agent",
            "source": "api",
            "definition": {"metric": "task_failures", "by": "agent", "above": 10},
            "crossed": [{"label": "agent-7", "since": 1703001430.0, "value": 12}],
        }
    ],
    "slos": [_SLO],
}
_OPEN: Mapping[type, type[BaseModel]] = {OpenThreats: view_of(OpenThreats, "OpenView")}
SeriesView: type[BaseModel] = view_of(Series, views=_OPEN, example=_SERIES)
DefinitionsView: type[BaseModel] = view_of(Definitions, example=_DEFINITIONS)
SloView: type[BaseModel] = view_of(DefinedSlo, "SloView", example=_SLO)
SummaryView: type[BaseModel] = view_of(MetricsSummary, "SummaryView", views=_OPEN, example=_SUMMARY)
