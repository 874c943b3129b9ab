"""The table [detections] of brain.toml."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class DetectionSettings(BaseModel):
    """Which detections run."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Whether the detections that come with this package run")
    rules: tuple[str, ...] = Field(
        default=(), description="Files and folders of rules in YAML (Sigma), besides; needs the extra `detections`"
    )
    disabled: tuple[str, ...] = Field(default=(), description="Ids or names of detections that do not run")
    groups: int = Field(
        default=10_000,
        ge=100,
        le=1_000_000,
        description="Groups that one detection remembers; the one unused for longest is forgotten",
    )
