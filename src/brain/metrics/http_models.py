"""What the metrics' routes take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field

from brain import limits
from brain.kit.http import TIME_FORMS, TimeText
from brain.kit.views import view_of
from brain.metrics.query import NAMES, Series
from brain.metrics.state import OpenThreats
from brain.metrics.summary import MetricsSummary

SinceQuery = Annotated[
    TimeText | None, Query(description=f"From: {TIME_FORMS}; an hour before `until` when left out.", examples=["24h"])
]
UntilQuery = Annotated[
    TimeText | None, Query(description=f"To: {TIME_FORMS}; now when left out.", examples=["2024-12-28T09:30:00Z"])
]


class SeriesFilters(BaseModel):
    """Which series is asked for, over which time."""

    name: str = Field(max_length=limits.TYPE, description=f"Which series: {', '.join(NAMES)}.", examples=["decisions"])
    by: str | None = Field(
        None,
        max_length=limits.TYPE,
        description="What it is split by: events by type, module or severity; decisions by effect, agent or "
        "action; denials and denial_rate by agent or action; the first of these when left out.",
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
    top: int = Field(20, ge=1, le=200, description="Most lines; the rest are added up as `other`.")


_SERIES: dict[str, Any] = {
    "name": "decisions",
    "by": "effect",
    "since": 1703001200,
    "until": 1703001320,
    "step": 60,
    "series": [{"labels": {"effect": "DENY"}, "points": [[1703001200, 4], [1703001260, 0]]}],
    "open": None,
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
_OPEN: Mapping[type, type[BaseModel]] = {OpenThreats: view_of(OpenThreats, "OpenView")}
SeriesView: type[BaseModel] = view_of(Series, views=_OPEN, example=_SERIES)
SummaryView: type[BaseModel] = view_of(MetricsSummary, "SummaryView", views=_OPEN, example=_SUMMARY)
