"""What the audit log's routes take and give."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.audit.export import EXAMPLE_HASH, EntryDocument
from brain.audit.proofs import InclusionProof
from brain.audit.search import AuditQuery
from brain.audit.verify import AuditReport
from brain.charter import Event
from brain.kit.http import TIME_FORMS, CorrelationId, Envelope, TimeText, parse_pattern
from brain.kit.views import view_of
from brain.times import parse_time

PAGE = 1000
"""Most entries in one answer."""
EXAMPLE_ID = "evt_policy_1703001234567_9f3ac81b2d40a1c7"
_ORIGIN = "brain-audit/3f9c02d1a7b84e56"
_NOTE = f"{_ORIGIN}\n48213\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n— {_ORIGIN} Az3grl...\n"


class LogView(BaseModel):
    """The audit log as it stands."""

    origin: str | None = Field(description="The log's name, in all its checkpoints; null before it is begun.")
    size: int = Field(description="How many entries it has.")
    root: str = Field(description="The root of its Merkle tree, in hexadecimal.", examples=[EXAMPLE_HASH])
    checkpoint: str | None = Field(description="The newest signed checkpoint; null without one.", examples=[_NOTE])
    public_key: str | None = Field(description="What proofs and checkpoints are verified with.")
    oldest_kept_index: int | None = Field(description="The first entry whose bytes are not deleted; null without one.")
    first_at: float | None = Field(description="When the first entry was logged, in Unix seconds.")
    last_at: float | None = Field(description="When the last entry was logged, in Unix seconds.")


class EntryFilters(BaseModel):
    """Which entries a search asks for."""

    pattern: list[Annotated[str, Field(max_length=limits.REASON)]] | None = Field(
        None,
        max_length=limits.FILTERS,
        description="Event types wanted; repeated or comma-separated",
        examples=["threat.*"],
    )
    since: TimeText | None = Field(None, description=f"Not before: {TIME_FORMS}", examples=["1h"])
    until: TimeText | None = Field(None, description=f"Before: {TIME_FORMS}", examples=["2024-12-28T09:30:00Z"])
    agent: str | None = Field(None, max_length=limits.TEXT, description="Only about this agent", examples=["agent-7"])
    threat: str | None = Field(None, max_length=limits.ID, description="Only about this threat")
    correlation_id: CorrelationId | None = Field(None, description="Only of this correlation id")
    text: str | None = Field(
        None, max_length=limits.REASON, description="Only events that hold this text, in whatever case"
    )
    principal: str | None = Field(
        None, max_length=limits.ID, description="Only what this person, agent or service did", examples=["ada"]
    )
    before: int | None = Field(None, ge=0, le=limits.COUNT, description="Only entries before this index")
    limit: int = Field(100, ge=1, le=PAGE, description="Most entries in the answer")

    def query(self, now: float) -> AuditQuery:
        """The query; ages are counted from `now` (Unix seconds). Raises InvalidInput."""
        return AuditQuery(
            pattern=parse_pattern(self.pattern or ["*"]),
            since=parse_time(self.since, now, "since") if self.since is not None else None,
            until=parse_time(self.until, now, "until") if self.until is not None else None,
            agent=self.agent,
            threat=self.threat,
            correlation_id=self.correlation_id,
            text=self.text,
            principal=self.principal,
        )


class VerifyRequest(BaseModel):
    """What to verify the log against."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{}, {"checkpoint": _NOTE}]}
    )

    checkpoint: str | None = Field(
        None, max_length=limits.CHECKPOINT, description="A checkpoint kept elsewhere, which the log must continue."
    )


EntryView: type[BaseModel] = view_of(EntryDocument, "EntryView", views={Event: Envelope})
ReportView: type[BaseModel] = view_of(AuditReport, "ReportView")
InclusionProofView: type[BaseModel] = view_of(InclusionProof)
