"""What the audit log's routes take and give."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.kit.http import Envelope

EXAMPLE_ID = "evt_policy_1703001234567_9f3ac81b2d40a1c7"
_ORIGIN = "brain-audit/3f9c02d1a7b84e56"
_HASH = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
_NOTE = f"{_ORIGIN}\n48213\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n— {_ORIGIN} Az3grl...\n"


class LogView(BaseModel):
    """The audit log as it stands."""

    origin: str | None = Field(description="The log's name, in all its checkpoints; null before it is begun.")
    size: int = Field(description="How many entries it has.")
    root: str = Field(description="The root of its Merkle tree, in hexadecimal.", examples=[_HASH])
    checkpoint: str | None = Field(description="The newest signed checkpoint; null without one.", examples=[_NOTE])
    public_key: str | None = Field(description="What proofs and checkpoints are verified with.")
    oldest_kept_index: int | None = Field(description="The first entry whose bytes are not deleted; null without one.")
    first_at: float | None = Field(description="When the first entry was logged, in Unix seconds.")
    last_at: float | None = Field(description="When the last entry was logged, in Unix seconds.")


class EntryView(BaseModel):
    """One entry of the log."""

    index: int = Field(description="Its number, from 0.")
    leaf_hash: str = Field(description="The RFC 6962 hash over the event's exact bytes.", examples=[_HASH])
    appended_at: float = Field(description="When it was logged, in Unix seconds.")
    event_id: str | None = Field(description="The event's id; null for bytes that are no event.")
    type: str = Field(description="The event's type; empty for bytes that are no event.")
    event: Envelope | None = Field(description="The event; null when its bytes are deleted or no event.")
    data_base64: str | None = Field(None, description="The bytes, where they are no event.")


class VerifyRequest(BaseModel):
    """What to verify the log against."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{}, {"checkpoint": _NOTE}]})

    checkpoint: str | None = Field(
        None, max_length=limits.CHECKPOINT, description="A checkpoint kept elsewhere, which the log must continue."
    )


class ReportView(BaseModel):
    """What verification found."""

    model_config = ConfigDict(from_attributes=True)

    ok: bool = Field(description="Whether every entry is what it was when it was logged.")
    origin: str = Field(description="The log's name.")
    size: int = Field(description="How many entries there are.")
    root: str | None = Field(description="The root over them, in hexadecimal; null when not all could be gone through.")
    verified_from: int = Field(description="The first entry looked at: 0, or the given checkpoint's size.")
    checkpoints: int = Field(description="How many signed checkpoints were compared.")
    deleted: int = Field(description="How many of these entries have had their bytes deleted by retention.")
    sealed: bool = Field(description="Whether the seals were checked too, which need the log's private key.")
    first_bad_index: int | None = Field(description="From which entry on something is wrong; null when nothing is.")
    problem: str | None = Field(description="What is wrong there.")
    seconds: float = Field(description="How long it took.")


class InclusionProofView(BaseModel):
    """A proof file: `brain audit verify-proof` checks it without this server."""

    kind: str = Field(description="Always brain-audit-inclusion.", examples=["brain-audit-inclusion"])
    origin: str = Field(description="The log's name.")
    event_id: str | None = Field(description="The event's id.")
    index: int = Field(description="The entry's number.")
    leaf_hash: str = Field(description="The RFC 6962 hash over the event's exact bytes.")
    hashes: list[str] = Field(description="The audit path of RFC 6962, from the leaf up.")
    checkpoint: str = Field(description="The signed checkpoint whose tree the entry is in.")
    event: str | None = Field(description="The exact bytes in base64; null once they are deleted.")
