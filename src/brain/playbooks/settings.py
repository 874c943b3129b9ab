"""The table [playbooks] of brain.toml."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field


class PlaybookSettings(BaseModel):
    """Whether the loop is closed, by which playbooks, and how far it may go by itself."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    loop: bool = Field(default=True, description="Whether events start playbooks; false: nothing is done by itself")
    shipped: bool = Field(default=True, description="Whether the playbooks that come with this package take part")
    files: tuple[str, ...] = Field(
        default=(), description="Files of playbooks in YAML, or module:NAME of a list of them in Python"
    )
    disabled: tuple[str, ...] = Field(default=(), description="Names of playbooks that do not take part")
    dry_run: bool = Field(default=False, description="Whether each step is decided and announced, and none is done")
    no_rule: Literal["allow", "deny"] = Field(
        default="allow", description="What holds for a step that no rule decides; a rule always comes first"
    )
    contain_seconds: float = Field(
        default=900.0, gt=0, le=86_400 * 366, description="How long the shipped playbook contains an agent"
    )
    depth: int = Field(default=3, ge=1, le=100, description="How many playbooks may follow from one another")
    per_correlation: int = Field(default=10, ge=1, le=10_000, description="Most runs under one correlation id")
    per_hour: int = Field(default=100, ge=1, le=100_000, description="Most runs of all playbooks in an hour")
    keep_days: float = Field(default=30.0, gt=0, le=366, description="Days for which runs that ended are listed")
