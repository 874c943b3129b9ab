"""What a detection is once it is read: immutable, JSON in and out, without any trace of the parser.

A `Tree` is a nested tuple: ("and", [...]), ("or", [...]), ("not", tree), or ("field", name, test). The field `TEXT` is
all values of the event together, which keywords are looked for in. The tests are in `tests_of_values.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from brain.charter import Severity

Tree = Any
"""See above; JSON makes lists of tuples, so both are read."""

TEXT = "\0"
"""The name of the field that holds all values of an event."""
SEVERITIES: Mapping[str, Severity] = {
    "informational": Severity.LOW,
    "low": Severity.LOW,
    "medium": Severity.MEDIUM,
    "high": Severity.HIGH,
    "critical": Severity.CRITICAL,
}
"""The severity of a threat, by the level of the rule that found it."""
HOUR = 3600.0


class LogSource(msgspec.Struct, frozen=True):
    """Which events a rule is asked about: each part that is given must be one of the event's own."""

    category: str | None = None
    product: str | None = None
    service: str | None = None


class LogKind(msgspec.Struct, frozen=True):
    """What an event says of itself: the categories, products and services that it is of."""

    category: tuple[str, ...] = ()
    product: tuple[str, ...] = ()
    service: tuple[str, ...] = ()

    def fits(self, wanted: LogSource) -> bool:
        """Whether a rule of this log source is asked about such events."""
        return (
            (wanted.category is None or wanted.category in self.category)
            and (wanted.product is None or wanted.product in self.product)
            and (wanted.service is None or wanted.service in self.service)
        )


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a detection says of itself."""

    key: str
    """Its id, or its name where it has none; unique."""
    name: str
    title: str
    description: str = ""
    level: str = "medium"
    tags: tuple[str, ...] = ()
    reports: bool = True
    """Whether a match is a hit; that of a rule which only a correlation refers to is not."""
    source: tuple[str, ...] = ()
    """Fields of the event; the first one that is there is whom the hit is about."""
    fold: float = HOUR
    """Seconds of quiet after which further matches about the same one are a new hit."""
    path: str = ""

    @property
    def severity(self) -> Severity:
        """The severity of its threats."""
        return SEVERITIES[self.level]


class Rule(msgspec.Struct, frozen=True, kw_only=True, tag="rule"):
    """A rule on single events."""

    about: About
    logsource: LogSource
    tree: Tree


class Correlation(msgspec.Struct, frozen=True, kw_only=True, tag="correlation"):
    """A rule on what several events are together, or on what is new about one."""

    about: About
    kind: str
    """A Sigma correlation's type, or sequence, first_seen, rate."""
    rules: tuple[str, ...]
    """The keys of the detections whose matches it takes, in order."""
    group_by: tuple[str, ...] = ()
    aliases: Mapping[str, Mapping[str, str]] = {}
    """By alias: the field's name for each of `rules`."""
    timespan: float
    """Seconds. For `rate` the length of one bucket."""
    op: str = "gte"
    threshold: float = 1
    fields: tuple[str, ...] = ()
    """The field whose values are counted or summed."""
    percentile: float | None = None
    expression: Tree = None
    """For temporal types: which of `rules` are needed, as ("and", [...]), ("or", [...]) or a key."""
    generate: bool = False
    """Whether the matches that it takes are hits by themselves as well."""
    steps: tuple[int, ...] = ()
    """For a sequence: how many matches of each of `rules` are needed."""
    unless: str | None = None
    """For a sequence: the detection whose match ends it."""
    learn: float = 0.0
    """Seconds for which values, or the number of buckets for which rates, are only learned."""
    factor: float = 4.0
    """For a rate: by how many deviations it must be above its baseline."""


Detection = Rule | Correlation


def digest(detection: Detection) -> str:
    """What its state is kept under: another meaning begins with an empty state."""
    about = detection.about
    bare = msgspec.structs.replace(detection, about=About(key=about.key, name="", title="", fold=about.fold))
    return hashlib.sha256(msgspec.json.encode(bare, order="deterministic")).hexdigest()[:32]


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with a file of rules: where, and what to do."""

    path: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.title}: {self.text}" if self.title else f"{self.path}: {self.text}"
