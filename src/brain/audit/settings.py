"""The settings of this consumer: the table `[audit]` of brain.toml."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from brain.audit.cosignature import Quorum, WitnessKey
from brain.connectors.urls import BaseUrl
from brain.errors import InvalidInput

LEAST_DAYS = 90.0
"""A shorter retention must be asked for twice."""


class WitnessSettings(BaseModel):
    """A witness that signs the log's checkpoints."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    url: BaseUrl = Field(description="Its address, below which is `add-checkpoint`")
    key: str = Field(description="Its public key, as it prints it: <name>+<id>+<base64>")

    @field_validator("key")
    @classmethod
    def _a_key(cls, text: str) -> str:
        try:
            return str(WitnessKey.parse(text))
        except InvalidInput as error:
            raise ValueError(str(error)) from error


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
    witnesses: tuple[WitnessSettings, ...] = Field(
        default=(), max_length=16, description="Who is asked to sign checkpoints; a url and a key each"
    )
    quorum: int = Field(
        default=0, ge=0, description="How many witnesses must sign a hand-over of the log's key, and what is proven"
    )
    witness_every: float = Field(default=60.0, gt=0, description="Seconds between two checkpoints sent to witnesses")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if self.retention_days < LEAST_DAYS and not self.i_know:
            raise ValueError(
                f"retention_days is below {LEAST_DAYS:g}; if the law and your contracts allow that, set i_know = true"
            )
        return self

    @model_validator(mode="after")
    def _enough_witnesses(self) -> Self:
        try:
            Quorum(self.witness_keys(), self.quorum)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self

    def witness_keys(self) -> tuple[WitnessKey, ...]:
        """The public keys of the witnesses."""
        return tuple(WitnessKey.parse(witness.key) for witness in self.witnesses)
