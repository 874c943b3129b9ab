"""The shapes that the HTTP API of incidents takes and gives; the command line shows the same documents."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import IncidentState, Severity

EXAMPLE_ID = "inc_5d0c1f27a9b34e86"
_AT = 1703001420.9
_TEXT = r"\S"


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class NewIncident(BaseModel):
    """An incident opened by hand."""

    model_config: ClassVar[ConfigDict] = _example(
        title="Customers report wrong invoices", severity="HIGH", text="three calls since nine", owner="ann", by="bob"
    )

    title: str = Field(min_length=1, max_length=limits.TITLE, pattern=_TEXT, description="The subject, in one line.")
    severity: Severity = Field(Severity.MEDIUM, description="How bad it is.")
    text: str = Field("", max_length=limits.NOTE, description="The facts so far, for the timeline's first entry.")
    correlation_id: str | None = Field(
        None,
        min_length=1,
        max_length=limits.CORRELATION_ID,
        description="The correlation id of its events; left out, the incident gets one of its own.",
    )
    owner: str | None = Field(None, max_length=limits.ID, description="The person who is responsible.")
    by: str | None = Field(None, max_length=limits.ID, description="The person who opened it.")


class StateChange(BaseModel):
    """A move of an incident."""

    model_config: ClassVar[ConfigDict] = _example(
        state="IN_PROGRESS", note="looking at the logins of that night", by="ann"
    )

    state: IncidentState = Field(
        description="The state to move to; an incident's `allowed_states` lists those possible now."
    )
    note: str = Field("", max_length=limits.REASON, description="The reason, for the timeline and the tickets.")
    by: str | None = Field(None, max_length=limits.ID, description="The person who moved it.")


class OwnerChange(BaseModel):
    """The person who is responsible for an incident from now on."""

    model_config: ClassVar[ConfigDict] = _example(owner="ann", by="bob")

    owner: str | None = Field(max_length=limits.ID, description="A name; null for nobody.")
    by: str | None = Field(None, max_length=limits.ID, description="The person who assigned it.")


class NewNote(BaseModel):
    """A note on an incident."""

    model_config: ClassVar[ConfigDict] = _example(
        text="the address belongs to a hosting provider; they are informed", by="ann"
    )

    text: str = Field(min_length=1, max_length=limits.NOTE, pattern=_TEXT, description="The note.")
    by: str | None = Field(None, max_length=limits.ID, description="The person who wrote it.")


class WebhookResult(BaseModel):
    """The ticket that a webhook named."""

    ticket: str = Field(description="The ticket's key.")
    known: bool = Field(description="Whether it is the ticket of an incident; its state is then read from the system.")


class TicketView(BaseModel):
    """The incident's ticket in another system."""

    system: str = Field(description="The kind of the ticket system, such as jira.")
    key: str | None = Field(description="The ticket's key there, such as OPS-17; null until it is created.")
    url: str | None = Field(description="The ticket's page; null until it is created.")
    state: str | None = Field(description="The ticket's status in that system's own words, as last read.")
    error: str | None = Field(description="Why it is not up to date; null when it is, or will be in a moment.")


class IncidentSummary(BaseModel):
    """An incident in a list."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": EXAMPLE_ID,
                    "number": 17,
                    "title": "ssh_brute_force from 203.0.113.77",
                    "severity": "HIGH",
                    "state": "NEW",
                    "allowed_states": ["IN_PROGRESS", "ON_HOLD", "RESOLVED"],
                    "owner": None,
                    "correlation_id": "thr_4f1a09be27c3d815",
                    "previous": None,
                    "opened_at": _AT,
                    "updated_at": _AT,
                    "resolved_at": None,
                    "mirrors": [
                        {
                            "system": "jira",
                            "key": "OPS-17",
                            "url": "https://example.atlassian.net/browse/OPS-17",
                            "state": "new",
                            "error": None,
                        }
                    ],
                }
            ]
        }
    )

    id: str = Field(description="The incident's id; it never changes.")
    number: int = Field(description="The incident's number, for people.")
    title: str = Field(description="The subject, in one line.")
    severity: Severity = Field(description="The severity of the worst that belongs to it; it only rises.")
    state: IncidentState = Field(description="The state it is in.")
    allowed_states: list[IncidentState] = Field(description="The states it may move to now.")
    owner: str | None = Field(description="The person who is responsible; null for nobody.")
    correlation_id: str = Field(description="The correlation id in the meta of all its events.")
    previous: str | None = Field(
        description="The id of the incident that the same correlation id had before; null for none."
    )
    opened_at: float = Field(description="When it was opened, in Unix seconds.")
    updated_at: float = Field(description="When its state, severity or owner last changed, in Unix seconds.")
    resolved_at: float | None = Field(description="When it was resolved, in Unix seconds; null while it is open.")
    mirrors: list[TicketView] = Field(description="Its tickets in other systems.")


class TimelineEntry(BaseModel):
    """An entry of the timeline."""

    at: float = Field(description="When, in Unix seconds.")
    last_at: float = Field(description="When the last event counted in this entry happened, in Unix seconds.")
    kind: str = Field(description="opened, state, severity, owner, note, threat, health, event or ticket.")
    text: str = Field(description="What happened, in words.")
    by: str | None = Field(description="The person or system that did it; null: it came from the stream.")
    event_id: str | None = Field(description="The event that caused it; null for what people did.")
    count: int = Field(description="How many alike, each within a minute of the last, are counted in this entry.")


class IncidentThreat(BaseModel):
    """A threat with the incident's correlation id."""

    id: str = Field(description="The threat's id.")
    type: str = Field(description="What kind of threat.")
    severity: str = Field(description="How bad it is.")
    source: str = Field(description="The address or agent that it comes from.")
    status: str = Field(description="The threat's status, as the stream reported it last.")
    detected_at: float = Field(description="When it was detected, or first reported, in Unix seconds.")


class IncidentHealth(BaseModel):
    """A critical health event with the incident's correlation id."""

    number: int = Field(description="The health event's number.")
    kind: str = Field(description="What kind, such as AGENT_FAILURE.")
    module: str = Field(description="The module, agent or service that it is about.")
    state: str = Field(description="open, healed, failed (a healing action failed), dismissed (resolved by a person).")
    at: float = Field(description="When, in Unix seconds.")


class LinkedEvent(BaseModel):
    """An event with the incident's correlation id."""

    id: str = Field(description="The event's id; GET /api/events/{id} shows it.")
    type: str = Field(description="The event's type.")
    at: float = Field(description="The event's time, in Unix seconds.")


class DecisionProof(BaseModel):
    """The place of the decision in the audit log."""

    index: int = Field(description="The decision's entry in the log, from 0.")
    size: int = Field(description="How many events the log had when this was looked up.")
    root: str = Field(description="The log's Merkle root at that size, in hex.")
    leaf_hash: str = Field(description="The event's leaf hash, in hex.")
    url: str = Field(description="The address of the proof file, which `brain audit verify-proof` checks.")


class IncidentDecision(BaseModel):
    """A policy decision that explains the incident."""

    event_id: str = Field(description="The event `policy.rule_evaluated` that recorded it.")
    agent: str = Field(description="The agent that asked.")
    action: str = Field(description="The action that it asked for.")
    resource: str = Field(description="The resource that it asked for.")
    effect: str = Field(description="ALLOW, DENY, WARN or AUDIT.")
    rule_id: str | None = Field(description="The rule that decided; null when the default effect did.")
    reason: str = Field(description="Why, in words.")
    at: float = Field(description="When, in Unix seconds.")
    proof: DecisionProof | None = Field(description="The place in the audit log; null while it is not in the log.")


class IncidentView(IncidentSummary):
    """An incident with all that belongs to it; lists with the newest first."""

    threats: list[IncidentThreat] = Field(description="The threats with its correlation id.")
    health: list[IncidentHealth] = Field(description="The critical health events with its correlation id.")
    agents: list[str] = Field(description="The agents, modules and services that it is about.")
    timeline: list[TimelineEntry] = Field(
        description="What happened; at most about 500 entries, repetitions counted in them."
    )
    events: list[LinkedEvent] = Field(
        description="The events with its correlation id since it was opened, at most 1,000."
    )
    decisions: list[IncidentDecision] = Field(
        description="Policy decisions with its correlation id, and of its agents shortly before; at most 100."
    )
