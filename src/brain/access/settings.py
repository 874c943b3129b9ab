"""The table `[access]`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class AccessSettings(BaseModel):
    """Who may do what on the server."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    rules: str = Field(default="", description="Policy file that says what each role may do, instead of ours")
