"""The settings of this consumer: the table `[soc]` of brain.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class SocSettings(BaseModel):
    """What the consumer needs to know."""

    model_config = ConfigDict(extra="forbid", frozen=True)
