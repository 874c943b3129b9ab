"""The settings of this consumer: the table `[audit]` of brain.toml."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

LEAST_DAYS = 90.0
"""A shorter retention must be asked for twice."""


class AuditSettings(BaseModel):
    """What the consumer needs to know."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    key_file: Path | None = Field(
        default=None, description="File of the private key that signs checkpoints; beside the database when not set"
    )
    origin: str = Field(
        default="", pattern=r"^[^\s+]*$", description="Name of the log in its checkpoints; a random one when empty"
    )
    retention_days: float = Field(default=365.0, gt=0, description="Days after which payloads are deleted")
    i_know: bool = Field(default=False, description="Allow a retention below 90 days")
    prune_every: float = Field(default=3600.0, gt=0, description="Seconds between two deletions of old payloads")
    checkpoints: int = Field(default=1000, ge=1, description="How many signed checkpoints are kept")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.retention_days < LEAST_DAYS and not self.i_know:
            raise ValueError(
                f"retention_days is below {LEAST_DAYS:g}; if the law and your contracts allow that, set i_know = true"
            )
        return self
