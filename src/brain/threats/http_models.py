"""What the threats' routes take and give."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import Severity, ThreatStatus
from brain.fields import Object, Text
from brain.kit.http import Envelope
from brain.kit.views import view_of
from brain.threats.models import STAGES, Threat, ThreatStats
from brain.threats.service import REASON_CHARACTERS

EXAMPLE_ID = "thr_4f1a09be27c3d815"
_EXAMPLE: dict[str, Any] = {
    "type": "ssh_brute_force",
    "severity": "HIGH",
    "source": "203.0.113.77",
    "description": "80 failed passwords for root from 203.0.113.77",
    "metadata": {"evidence": {"failed_passwords": 80}},
}


class NewThreat(BaseModel):
    """A threat to be created."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    type: str = Field(
        min_length=1, max_length=limits.TYPE, description="What kind of threat, such as `ssh_brute_force`."
    )
    source: str = Field(
        min_length=1, max_length=limits.NAME, description="Whom or what it comes from: an address, an agent."
    )
    severity: Severity = Field(Severity.MEDIUM, description="How bad it is.")
    description: Text = Field("", description="What was seen, for a person to read.")
    metadata: Object = Field(default_factory=dict, description="The detector's own data, at most 64 KiB.")


class NewStatus(BaseModel):
    """A move of a threat."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "INVESTIGATING", "reason": "looking at the logins"}]}
    )

    status: ThreatStatus = Field(
        description="The status to move to; a threat's `allowed_moves` lists those possible now."
    )
    reason: str = Field("", max_length=REASON_CHARACTERS, description="Why, for the record.")


class NewAssignee(BaseModel):
    """Who works on a threat from now on."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"assignee": "ann"}]}
    )

    assignee: str | None = Field(max_length=limits.ID, description="A name; null for nobody.")


class NewComment(BaseModel):
    """A comment on a threat."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "the hosting provider is informed"}]}
    )

    text: str = Field(min_length=1, max_length=limits.NOTE, pattern=r"\S", description="The words.")


class TimelineStep(BaseModel):
    """An event of a timeline."""

    position: str = Field(description="The event's place in the stream.")
    timestamp: float = Field(description="The event's time, in Unix seconds.")
    delta: float = Field(description="Seconds since the timeline began.")
    depth: int = Field(description="How many events of the timeline led to it.")
    type: str = Field(description="The event's type.")
    source: str = Field(description="The event's source.")
    causation_id: str | None = Field(description="The id of the event that caused it; null where none is named.")
    event: Envelope


class TimelineView(BaseModel):
    """What happened around a threat, in all modules."""

    correlation_id: str = Field(description="The correlation id of the events.")
    whole: bool = Field(description="Whether nothing is left out.")
    steps: list[TimelineStep] = Field(description="The events, each after the one that caused it.")


ThreatView: type[BaseModel] = view_of(
    Threat,
    without=["readings"],
    properties=["allowed_moves", *STAGES],
    example={
        **_EXAMPLE,
        "id": EXAMPLE_ID,
        "status": "INVESTIGATING",
        "correlation_id": EXAMPLE_ID,
        "detected_at": 1703001234.567,
        "last_seen": 1703001234.567,
        "updated_at": 1703001301.2,
        "version": 2,
        "mitigated_at": None,
        "allowed_moves": ["ESCALATED", "MITIGATED", "IGNORED"],
        "history": [{"old": "OPEN", "new": "INVESTIGATING", "at": 1703001301.2, "reason": "", "by": "ann"}],
        "assignee": "ann",
        "comments": [{"id": "cmt_0b6d81f2c4a95e37", "text": "looking at the logins", "at": 1703001301.2, "by": "ann"}],
        "detect_seconds": None,
        "investigate_seconds": 66.6,
        "mitigate_seconds": None,
    },
)
ThreatStatsView: type[BaseModel] = view_of(ThreatStats)
