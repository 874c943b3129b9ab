"""The table [missions] of brain.toml. All times are in seconds."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class MissionSettings(BaseModel):
    """Leases, deadlines and bounds of missions."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    lease_seconds: float = Field(
        default=30.0, ge=1, le=3600, description="How long a task belongs to an agent that gives no other time"
    )
    agent_seconds: float = Field(
        default=60.0, ge=1, le=86_400, description="Silence after which an agent counts as offline"
    )
    cancel_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="How long agents have to acknowledge that a mission is cancelled; then their leases end",
    )
    answer_seconds: float = Field(
        default=86_400.0, gt=0, description="How long a person has to answer a task that gives no other time"
    )
    longest_retry: float = Field(default=300.0, gt=0, description="The longest wait before a task is tried again")
    most_lost_leases: int = Field(
        default=10, ge=1, description="How often a task's lease may be lost before the task has failed"
    )
    lost_leases_alarm: int = Field(
        default=3, ge=1, description="Leases that one agent loses, with none of its tasks done between, until it is ill"
    )
    failures_alarm: int = Field(default=5, ge=1, description="Failed tasks within a minute that are an error spike")
    group_commit: int = Field(default=512, ge=1, le=5000, description="Most calls of agents in one transaction")
    keep_days: float = Field(default=90.0, gt=0, description="How long missions that have ended are kept")
    vda5050_schemas: str | None = Field(
        default=None,
        description="Folder with the official JSON schemas of VDA 5050 3.0.0 (*.schema); none: own checks alone",
    )
