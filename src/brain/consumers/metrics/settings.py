"""The settings of this consumer: the table `[metrics]` of brain.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class MetricsSettings(BaseModel):
    """What the consumer needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
