"""Numbers that JSON lacks: an event that holds one is refused, never stored as another value."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nan
from typing import Any

import pytest

from brain import Event
from brain.errors import EnvelopeError


@dataclass
class Reading:
    value: float


@pytest.mark.parametrize(
    ("payload", "place"),
    [
        ({"load": nan}, "payload.load: nan"),
        ({"load": inf, "note": None}, "payload.load: inf"),
        ({"loads": [0.5, {"core": -inf}]}, "payload.loads[1].core: -inf"),
        ({"reading": Reading(nan)}, "payload.reading.value: nan"),
    ],
)
def test_an_event_with_a_number_that_json_lacks_is_refused_and_names_its_place(
    payload: dict[str, Any], place: str
) -> None:
    with pytest.raises(EnvelopeError, match=place.replace("[", r"\[").replace("]", r"\]")):
        Event(type="host.measured", source="host_service", payload=payload).encode()


def test_meta_is_held_to_the_same() -> None:
    event = Event(type="host.measured", source="host_service", payload={}, meta={"cost": nan})
    with pytest.raises(EnvelopeError, match=r"meta\.cost: nan"):
        event.encode()


def test_nulls_and_the_word_null_are_no_such_numbers() -> None:
    payload = {"owner": None, "text": "null", "load": 0.5, "loads": [None, {"x": None}]}
    event = Event(type="host.measured", source="host_service", payload=payload)
    assert Event.decode(event.encode()).payload == payload
