"""Limits on the values of sources: which are crossed is kept with the source, in the same write as its samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import msgspec

from brain.kit.limits import Limit, LimitChange, LimitState
from brain.telemetry.samples import Sample
from brain.telemetry.settings import LimitSettings
from brain.typed import ready

_decoder = msgspec.json.Decoder(ready(dict[str, LimitState]))


@dataclass(frozen=True)
class Crossing:
    """A limit was crossed or cleared by a value of a source."""

    limit: str
    value_name: str
    level: float
    change: LimitChange


class Limits:
    """The limits of the settings, by name."""

    def __init__(self, settings: Mapping[str, LimitSettings]) -> None:
        self._limits = {
            name: (one, Limit(one.limit, one.clear, one.hold, one.clear_hold, one.direction))
            for name, one in settings.items()
        }

    def apply(self, source: str, text: str, samples: Sequence[Sample], now: float) -> tuple[str, list[Crossing]]:
        """The states after these samples, from those before as text; and what was crossed or cleared."""
        mine = {name: both for name, both in self._limits.items() if fnmatchcase(source, both[0].source)}
        if not mine:
            return "{}", []
        states = {name: state for name, state in _decoder.decode(text).items() if name in mine}
        found = list(self._changes(mine, states, samples, now))
        return msgspec.json.encode(states).decode(), found

    def _changes(
        self,
        mine: Mapping[str, tuple[LimitSettings, Limit]],
        states: dict[str, LimitState],
        samples: Sequence[Sample],
        now: float,
    ) -> Iterator[Crossing]:
        for sample in samples:
            at = now if sample.t is None else sample.t
            for name, (one, limit) in mine.items():
                value = sample.values.get(one.value)
                states[name], change = limit.apply(states.get(name, LimitState()), value, at)
                if change is not None:
                    yield Crossing(name, one.value, limit.limit, change)


def crossed_in(text: str) -> list[str]:
    """The names of the limits that are crossed, from the states as text."""
    return sorted(name for name, state in _decoder.decode(text).items() if state.crossed)
