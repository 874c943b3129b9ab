"""The page: one message to one notifier, whole. Each notifier takes of it what its service can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from brain.charter import Severity


class PageAction(StrEnum):
    """What a page asks of its reader, or says to them."""

    TRIGGER = "trigger"
    """Something fires that this notifier has not been sent yet."""
    UPDATE = "update"
    """Something more, or something worse, fires in the same group."""
    REPEAT = "repeat"
    """Nobody has acknowledged within the repeat interval."""
    ACKNOWLEDGE = "acknowledge"
    """Somebody has acknowledged."""
    RESOLVE = "resolve"
    """Everything that the notifier was sent is over."""

    @property
    def is_paging(self) -> bool:
        """Whether it asks for a person. Rate limits count these actions only."""
        return self in PAGING


PAGING = frozenset({PageAction.TRIGGER, PageAction.UPDATE, PageAction.REPEAT})
"""The actions that ask for a person."""

_PREFIX = {
    PageAction.TRIGGER: "",
    PageAction.UPDATE: "more: ",
    PageAction.REPEAT: "still: ",
    PageAction.ACKNOWLEDGE: "acknowledged: ",
    PageAction.RESOLVE: "resolved: ",
}


@dataclass(frozen=True)
class TimelineStep:
    """One thing that happened."""

    at: Annotated[float, Field(description="When, in Unix seconds.")]
    kind: Annotated[str, Field(description="The event's type, `notification`, `acknowledged` or `resolved`.")]
    text: Annotated[str, Field(description="What happened, for a person to read.")]
    event_id: Annotated[str | None, Field(description="The event that says so; null for a notification.")]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A message to one notifier. Times are in Unix seconds.

    `id` stays the same when the page is sent again. `dedup_key` is the same for all pages about one thing. `links` are
    pairs of text and URL.
    """

    id: str
    action: PageAction
    dedup_key: str
    severity: Severity
    summary: str
    at: float
    route: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    alerts: Sequence[Mapping[str, Any]] = ()
    alerts_total: int = 0
    held_back: Sequence[str] = ()
    held_back_total: int = 0
    links: Sequence[tuple[str, str]] = ()
    decisions: Sequence[Mapping[str, Any]] = ()
    timeline: Sequence[TimelineStep] = ()
    test: bool = False
    only: Sequence[str] = ()
    """The receivers that it is for, where one notifier has several and the others have it; empty: all of them."""

    @property
    def title(self) -> str:
        """The page in one line."""
        return f"{'TEST: ' if self.test else ''}{_PREFIX[self.action]}{self.summary}"

    @property
    def lead(self) -> Mapping[str, Any]:
        """The leading alert; empty for a page without alerts."""
        return self.alerts[0] if self.alerts else {}

    @property
    def agent(self) -> str:
        """The agent of the leading alert; empty when it has none."""
        return str(self.lead.get("labels", {}).get("agent", ""))

    def text(self) -> str:
        """The page for a person, without markup."""
        parts = [
            [f"{alert['severity']} {alert['state']}: {alert['summary']}" for alert in self.alerts],
            [f"held back: {summary}" for summary in self.held_back],
            ["Decisions behind it:" if self.decisions else "", *map(_decision_line, self.decisions)],
            ["What happened:" if self.timeline else "", *(f"{_clock(step.at)} {step.text}" for step in self.timeline)],
        ]
        return "\n\n".join("\n".join(filter(None, lines)) for lines in parts if any(lines))

    def text_with_links(self) -> str:
        """The title, the text and the links, for services in which a link is text."""
        links = "\n".join(f"{text}: {url}" for text, url in self.links)
        return "\n\n".join(filter(None, (self.title, self.text(), links)))

    def document(self) -> dict[str, Any]:
        """The whole page as JSON values."""
        document = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "only"}
        return {
            "type": "alert.page",
            **document,
            "action": self.action.value,
            "severity": self.severity.value,
            "title": self.title,
            "links": [{"text": text, "url": url} for text, url in self.links],
            "timeline": [asdict(step) for step in self.timeline],
        }


def _decision_line(decision: Mapping[str, Any]) -> str:
    what = (
        f"{decision['effect']}: {decision['agent']} {decision['action']} {decision['resource']}: {decision['reason']}"
    )
    proof = decision.get("proof")
    if proof is None:
        return f"{what} (event {decision['event_id']}, not in the audit log yet)"
    return f"{what} (event {decision['event_id']}, entry {proof['index']} of {proof['tree_size']} in the audit log)"


def _clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}Z"
