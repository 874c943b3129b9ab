"""The request bodies of alerts and silences over HTTP."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.alerting.matchers import MATCHER_CHARACTERS
from brain.alerting.service import NAME_CHARACTERS, REASON_CHARACTERS
from brain.alerting.views import MATCHERS


class Actor(BaseModel):
    """Who acts."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"by": "ann"}]})

    by: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="The person's name.")


class NewSilence(BaseModel):
    """A silence to add; it begins now, or at `starts_at`."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "matchers": MATCHERS,
                    "ends_at": 4102444800.0,
                    "by": "ann",
                    "reason": "the database is being moved",
                }
            ]
        },
    )

    matchers: list[Annotated[str, Field(max_length=MATCHER_CHARACTERS)]] = Field(
        min_length=1,
        max_length=limits.MATCHERS,
        description="All of them must fit: `label=value`, `label!=value`, `label=~pattern` or `label!~pattern`.",
    )
    starts_at: float | None = Field(
        None, ge=0, lt=limits.MOMENT, description="From when, in Unix seconds; left out: now."
    )
    ends_at: float = Field(ge=0, lt=limits.MOMENT, description="Until when, in Unix seconds; excluded.")
    by: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="Who wants it.")
    reason: str = Field(min_length=1, max_length=REASON_CHARACTERS, description="Why.")
