"""What users define: metrics made of the fields of events, limits on series, and service level objectives.

The same models read `[metrics]` of brain.toml, a file for `brain metrics define`, and the body of a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from brain import limits
from brain.charter import Pattern
from brain.errors import InvalidInput
from brain.fields import Value
from brain.kit.limits import Direction, Limit
from brain.metrics.kinds import MetricKind, Statistic
from brain.metrics.series import STEPS
from brain.model_faults import model_faults

MOST_METRICS = 100
"""Metrics, limits and objectives of each source."""
MOST_LABELS = 3
MOST_BOUNDS = 30
LONGEST_WINDOW = 31 * 86_400
_FIELD = re.compile(r"[^.\s\x00-\x1f]{1,200}(\.[^.\s\x00-\x1f]{1,200}){0,31}").fullmatch

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$", max_length=60)]
"""The name of a metric, a limit or an objective: lower case, as Prometheus has it."""


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _as_labels(value: object) -> object:
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and all(isinstance(name, str) for name in value):
        return {name.rpartition(".")[2]: name for name in value}
    return value


def _a_field(path: str) -> str:
    if not _FIELD(path):
        raise ValueError("is no dotted path such as agent_id, details.code or meta.tenant")
    return path


FieldPath = Annotated[str, Field(max_length=limits.FIELD)]
"""A dotted path of an event's fields."""


class _Model(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)


class FieldCondition(_Model):
    """A condition on a field of the event. A field that is not there satisfies only `!=`, and `exists` with false."""

    field: FieldPath = Field(description="A path in the payload, or type, source, target, or meta.NAME")
    operator: Literal["=", "!=", ">", ">=", "<", "<=", "in", "contains", "exists"] = Field(
        default="=", description="How the field is compared; `exists` asks whether it is there"
    )
    value: Value = Field(default=True, description="What it is compared with; a list for `in`")

    @field_validator("field")
    @classmethod
    def _path(cls, path: str) -> str:
        return _a_field(path)

    @model_validator(mode="after")
    def _fitting(self) -> FieldCondition:
        if self.operator == "in" and not isinstance(self.value, list):
            raise ValueError("value: `in` needs a list")
        if self.operator == "exists" and not isinstance(self.value, bool):
            raise ValueError("value: `exists` needs true or false")
        return self


class MetricDefinition(_Model):
    """A metric made of the fields of events."""

    kind: MetricKind = Field(description="counter: a sum that grows; gauge: a value; histogram: values by size")
    events: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(
        min_length=1, max_length=limits.FILTERS, description="The types of the events, `*` for any characters"
    )
    where: tuple[FieldCondition, ...] = Field(
        default=(), max_length=20, description="Only events that fit all of these"
    )
    value: FieldPath | None = Field(
        default=None, description="The field that is the value, a number; without one a counter counts 1 an event"
    )
    labels: Annotated[dict[str, FieldPath], BeforeValidator(_as_labels)] = Field(
        default_factory=dict, description=f"At most {MOST_LABELS} labels: by name, the field; or a list of fields"
    )
    bounds: tuple[float, ...] = Field(
        default=(), max_length=MOST_BOUNDS, description="The upper bounds of a histogram's bins, rising"
    )
    decimals: int = Field(default=6, ge=0, le=9, description="Digits after the point that sums are kept with, exactly")
    help: str = Field(default="", max_length=200, description="What it says, in one line")

    @field_validator("events")
    @classmethod
    def _patterns(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        try:
            Pattern(texts)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return texts

    @field_validator("value")
    @classmethod
    def _path(cls, path: str | None) -> str | None:
        return None if path is None else _a_field(path)

    @field_validator("labels")
    @classmethod
    def _few_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        if len(labels) > MOST_LABELS:
            raise ValueError(f"{len(labels)} labels are more than the {MOST_LABELS} allowed")
        for name, path in labels.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or name == "le":
                raise ValueError(f"{name[:60]!r} is no name of a label: lower case, not `le`; write name = path")
            _a_field(path)
        return labels

    @model_validator(mode="after")
    def _fitting(self) -> MetricDefinition:
        if self.value is None and self.kind is not MetricKind.COUNTER:
            raise ValueError(f"value: a {self.kind} needs the field that is its value")
        if bool(self.bounds) != (self.kind is MetricKind.HISTOGRAM):
            raise ValueError("bounds: a histogram needs them, and nothing else has them")
        if not all(map(isfinite, self.bounds)) or any(after <= before for before, after in pairwise(self.bounds)):
            raise ValueError("bounds: must be finite and rise")
        return self


class LimitDefinition(_Model):
    """A limit on a series over a window of time that ends now."""

    metric: Name = Field(description="A metric that is defined, or a series such as denials or denial_rate")
    by: str | None = Field(default=None, max_length=60, description="The label whose values each have the limit")
    statistic: Statistic | None = Field(
        default=None, description="Which figure; the metric's usual one when left out; only for defined metrics"
    )
    window_seconds: int = Field(default=300, ge=10, le=LONGEST_WINDOW, description="Seconds that are looked back")
    above: float | None = Field(default=None, allow_inf_nan=False, description="Crossed by values of this and more")
    below: float | None = Field(default=None, allow_inf_nan=False, description="Crossed by values of this and less")
    clear: float | None = Field(
        default=None, allow_inf_nan=False, description="The level that ends it; the limit itself when left out"
    )
    for_seconds: float = Field(default=0, ge=0, le=86_400, description="How long it must hold before it is crossed")
    clear_seconds: float = Field(
        default=0, ge=0, le=86_400, description="How long it must be well before it is cleared"
    )
    threat: str | None = Field(
        default=None,
        min_length=1,
        max_length=limits.TYPE,
        description="The type of the threat that a crossing reports, its source being the label's value",
    )

    @model_validator(mode="after")
    def _fitting(self) -> LimitDefinition:
        if (self.above is None) == (self.below is None):
            raise ValueError("above: give one of above and below")
        if self.window_seconds % STEPS[0]:
            raise ValueError(f"window_seconds: must be a multiple of {STEPS[0]}")
        try:
            self.limit()
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return self

    def limit(self) -> Limit:
        """The limit in the kit's form."""
        direction = Direction.BELOW if self.above is None else Direction.ABOVE
        level = self.below if self.above is None else self.above
        assert level is not None
        return Limit(level, self.clear, self.for_seconds, self.clear_seconds, direction)


class BurnWindow(_Model):
    """An alert on the speed at which an error budget is spent, over a long and a short window."""

    burn: float = Field(gt=0, le=1000, description="How many times faster than the budget allows")
    long_seconds: int = Field(ge=60, le=LONGEST_WINDOW, description="The window that shows that it matters")
    short_seconds: int = Field(ge=10, le=LONGEST_WINDOW, description="The window that shows that it goes on")

    @model_validator(mode="after")
    def _fitting(self) -> BurnWindow:
        if self.short_seconds >= self.long_seconds or self.short_seconds % 10 or self.long_seconds % 10:
            raise ValueError("short_seconds: must be shorter than long_seconds, and both multiples of 10")
        return self


WORKBOOK = (
    BurnWindow(burn=14.4, long_seconds=3600, short_seconds=300),
    BurnWindow(burn=6, long_seconds=21_600, short_seconds=1800),
    BurnWindow(burn=1, long_seconds=259_200, short_seconds=21_600),
)
"""The Site Reliability Workbook, chapter 5, table 5-8: 2 % of a 30-day budget in 1 h, 5 % in 6 h, 10 % in 3 d."""


class SloDefinition(_Model):
    """A service level objective: the share of good events among all, over a window of days."""

    total: Name = Field(description="The counter of all events")
    good: Name | None = Field(default=None, description="The counter of the good ones; or give `bad`")
    bad: Name | None = Field(default=None, description="The counter of the bad ones; or give `good`")
    objective: float = Field(gt=0, lt=1, description="The share that should be good, such as 0.999")
    window_days: int = Field(default=30, ge=1, le=90, description="Days of the error budget")
    windows: tuple[BurnWindow, ...] = Field(default=WORKBOOK, min_length=1, max_length=6, description="When it alerts")
    module: str = Field(default="", max_length=limits.ID, description="What the health event names; else slo NAME")

    @model_validator(mode="after")
    def _fitting(self) -> SloDefinition:
        if (self.good is None) == (self.bad is None):
            raise ValueError("good: give one of good and bad")
        return self


class DefinitionSet(_Model):
    """All that one source defines: brain.toml, or the API."""

    definitions: dict[Name, MetricDefinition] = Field(
        default_factory=dict, max_length=MOST_METRICS, description="Metrics by name"
    )
    limits: dict[Name, LimitDefinition] = Field(
        default_factory=dict, max_length=MOST_METRICS, description="Limits by name"
    )
    slos: dict[Name, SloDefinition] = Field(
        default_factory=dict, max_length=MOST_METRICS, description="Service level objectives by name"
    )


def faults(error: ValidationError) -> str:
    """What is wrong, each with its place, in one line."""
    return "; ".join(model_faults(error)[:10])


def clashes(sets: Mapping[str, DefinitionSet]) -> Sequence[str]:
    """The names that two sources define."""
    found: list[str] = []
    for kind in ("definitions", "limits", "slos"):
        seen: dict[str, Any] = {}
        for one in sets.values():
            names = getattr(one, kind)
            found += [f"{kind}.{name}" for name in names if name in seen]
            seen |= names
    return found
