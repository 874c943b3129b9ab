"""Silences: who wants no pages about what, and until when. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PlainSerializer

from brain.alerting.matchers import Matcher, all_match
from brain.alerting.models import Alert


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Nobody is paged for the alerts that all matchers fit, from `starts_at` until `ends_at`."""

    id: Annotated[str, Field(description="The silence's id.")]
    matchers: Annotated[
        tuple[Matcher, ...],
        PlainSerializer(lambda matchers: [str(matcher) for matcher in matchers], return_type=list[str]),
        Field(description="The matchers that the labels of a silenced alert must all fit."),
    ]
    starts_at: Annotated[float, Field(description="From when, in Unix seconds.")]
    ends_at: Annotated[float, Field(description="Until when, in Unix seconds; excluded.")]
    by: Annotated[str, Field(description="Who wants it.")]
    reason: Annotated[str, Field(description="Why.")]
    created_at: Annotated[float, Field(description="When it was added, in Unix seconds.")]

    def in_force(self, at: float) -> bool:
        """Whether it silences anything at that Unix time; the end is excluded.

        One that began when it was added is in force as soon as it is there, whatever the clock of another machine says.
        """
        return (self.starts_at <= at or self.starts_at <= self.created_at) and at < self.ends_at

    def covers(self, alert: Alert) -> bool:
        """Whether it is about this alert."""
        return all_match(self.matchers, alert.all_labels)
