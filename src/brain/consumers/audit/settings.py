"""The settings of this consumer: the table `[audit]` of brain.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class AuditSettings(BaseModel):
    """What the consumer needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
