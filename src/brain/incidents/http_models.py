"""What the HTTP API of incidents takes and gives."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import IncidentState as State
from brain.charter import Severity
from brain.incidents.service import TEXT

EXAMPLE_ID = "inc_5d0c1f27a9b34e86"
_AT = 1703001420.9
_TEXT = r"\S"


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class NewIncident(BaseModel):
    """An incident opened by hand."""

    model_config = _example(
        title="Customers report wrong invoices", severity="HIGH", text="three calls since nine", owner="ann", by="bob"
    )

    title: str = Field(
        min_length=1, max_length=limits.TITLE, pattern=_TEXT, description="What it is about, in one line."
    )
    severity: Severity = Field(Severity.MEDIUM, description="How bad it is.")
    text: str = Field("", max_length=TEXT, description="What is known, for the first entry of the timeline.")
    correlation_id: str | None = Field(
        None,
        min_length=1,
        max_length=limits.STORY,
        description="The story it is about; left out, it begins one of its own.",
    )
    owner: str | None = Field(None, max_length=limits.ID, description="Who looks after it.")
    by: str | None = Field(None, max_length=limits.ID, description="Who opened it.")


class NewState(BaseModel):
    """A move of an incident."""

    model_config = _example(state="IN_PROGRESS", note="looking at the logins of that night", by="ann")

    state: State = Field(description="The state to move to; an incident's `allowed_states` lists those possible now.")
    note: str = Field("", max_length=limits.REASON, description="Why, for the timeline and the tickets.")
    by: str | None = Field(None, max_length=limits.ID, description="Who moved it.")


class NewOwner(BaseModel):
    """Who looks after an incident from now on."""

    model_config = _example(owner="ann", by="bob")

    owner: str | None = Field(max_length=limits.ID, description="A name; null for nobody.")
    by: str | None = Field(None, max_length=limits.ID, description="Who gave it to them.")


class NewNote(BaseModel):
    """A note on an incident."""

    model_config = _example(text="the address belongs to a hosting provider; told them", by="ann")

    text: str = Field(min_length=1, max_length=TEXT, pattern=_TEXT, description="What is to be known.")
    by: str | None = Field(None, max_length=limits.ID, description="Who wrote it.")


class MirrorView(BaseModel):
    """The incident's ticket in another system."""

    system: str = Field(description="`jira` or `servicenow`.")
    key: str | None = Field(description="The ticket's key there, such as OPS-17; null until it is created.")
    url: str | None = Field(description="Its page; null until it is created.")
    state: str | None = Field(description="Its state in that system's own words, as last seen.")
    error: str | None = Field(description="Why it is not up to date; null when it is, or will be in a moment.")


class Summary(BaseModel):
    """An incident in a list."""

    model_config = ConfigDict(
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
    number: int = Field(description="Its number, for people.")
    title: str = Field(description="What it is about, in one line.")
    severity: Severity = Field(description="As of the worst that belongs to it; it only rises.")
    state: State = Field(description="Where it stands.")
    allowed_states: list[State] = Field(description="The states it may move to now.")
    owner: str | None = Field(description="Who looks after it; null for nobody.")
    correlation_id: str = Field(description="The story it is about: in the meta of all its events.")
    previous: str | None = Field(description="The incident that the same story had before; null for none.")
    opened_at: float = Field(description="When it was opened, in Unix seconds.")
    updated_at: float = Field(description="When its state, severity or owner last changed, in Unix seconds.")
    resolved_at: float | None = Field(description="When it was resolved, in Unix seconds; null while it is open.")
    mirrors: list[MirrorView] = Field(description="Its tickets in other systems.")


class Entry(BaseModel):
    """An entry of the timeline."""

    at: float = Field(description="When, in Unix seconds.")
    last_at: float = Field(description="When the last of those counted here happened, in Unix seconds.")
    kind: str = Field(description="opened, state, severity, owner, note, threat, health, event or ticket.")
    text: str = Field(description="What happened, in words.")
    by: str | None = Field(description="Who did it: a person or a system; null: it came from the stream.")
    event_id: str | None = Field(description="The event behind it; null for what people did.")
    count: int = Field(description="How many like it within a minute of each other are counted in this entry.")


class ThreatOf(BaseModel):
    """A threat of the incident's story."""

    id: str = Field(description="The threat's id.")
    type: str = Field(description="What kind of threat.")
    severity: str = Field(description="How bad it is.")
    source: str = Field(description="Whom or what it comes from.")
    status: str = Field(description="Where it stands, as the stream told last.")
    detected_at: float = Field(description="When it was detected, or first heard of, in Unix seconds.")


class HealthOf(BaseModel):
    """A critical health event of the incident's story."""

    number: int = Field(description="The health event's number.")
    kind: str = Field(description="What kind, such as AGENT_FAILURE.")
    module: str = Field(description="Which module, agent or service it is about.")
    state: str = Field(description="open, healed, failed (a healing action failed), dismissed (resolved by a person).")
    at: float = Field(description="When, in Unix seconds.")


class EventOf(BaseModel):
    """An event of the incident's story."""

    id: str = Field(description="The event's id; GET /api/events/{id} shows it.")
    type: str = Field(description="Its type.")
    at: float = Field(description="Its time, in Unix seconds.")


class DecisionProof(BaseModel):
    """Where the audit log has the decision."""

    index: int = Field(description="Its place in the log, from 0.")
    size: int = Field(description="How many events the log had when this was looked up.")
    root: str = Field(description="The log's Merkle root at that size, in hex.")
    leaf_hash: str = Field(description="The event's leaf hash, in hex.")
    url: str = Field(description="Where its proof file is, which `brain audit verify-proof` checks.")


class DecisionOf(BaseModel):
    """A policy decision behind the incident."""

    event_id: str = Field(description="The event `policy.rule_evaluated` that recorded it.")
    agent: str = Field(description="Who asked.")
    action: str = Field(description="For what.")
    resource: str = Field(description="On what.")
    effect: str = Field(description="ALLOW, DENY, WARN or AUDIT.")
    rule_id: str | None = Field(description="The rule that decided; null when the default effect did.")
    reason: str = Field(description="Why, in words.")
    at: float = Field(description="When, in Unix seconds.")
    proof: DecisionProof | None = Field(description="Its place in the audit log; null while it is not in it.")


class IncidentView(Summary):
    """An incident with all that belongs to it; lists with the newest first."""

    threats: list[ThreatOf] = Field(description="The threats of its story.")
    health: list[HealthOf] = Field(description="The critical health events of its story.")
    agents: list[str] = Field(description="The agents, modules and services it is about.")
    timeline: list[Entry] = Field(description="What happened; at most about 500 entries, others counted in them.")
    events: list[EventOf] = Field(description="Events of its story since it was opened, at most 1,000.")
    decisions: list[DecisionOf] = Field(
        description="Policy decisions of its story, and of its agents shortly before; at most 100."
    )
