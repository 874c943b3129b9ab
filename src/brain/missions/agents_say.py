"""A group of what agents say, carried out in one transaction: first what ends, then what begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from brain.missions.claiming import Claim, Hold, hold, take_all
from brain.missions.finishing import (
    Completion,
    Failure,
    GivenBack,
    Heartbeat,
    Held,
    beat,
    complete_all,
    fail,
    give_back,
)
from brain.missions.leases_lost import see
from brain.missions.transaction import MissionTransaction


@dataclass(frozen=True, slots=True)
class Seen:
    """An agent is there."""

    agent: str
    capabilities: frozenset[str]


def carry_out(change: MissionTransaction, calls: Sequence[Any]) -> list[Any]:
    """The answer to each call, in their order; an error is an answer, too."""
    answers: dict[int, Any] = {}
    done = [(place, call) for place, call in enumerate(calls) if isinstance(call, Completion)]
    if done:
        outcomes = complete_all(change, [call for _, call in done])
        answers.update(zip((place for place, _ in done), outcomes, strict=True))
    for place, call in enumerate(calls):
        if isinstance(call, Held | Hold) and not isinstance(call, Completion):
            change.events.whose[call.task] = call.who
        match call:
            case Failure():
                answers[place] = fail(change, call)
            case GivenBack():
                answers[place] = give_back(change, call)
            case Heartbeat():
                answers[place] = beat(change, call)
            case Hold():
                hold(change, call)
                answers[place] = None
            case Seen():
                see(change, call.agent, call.capabilities)
                answers[place] = None
    claims = [(place, call) for place, call in enumerate(calls) if isinstance(call, Claim)]
    if claims:
        taken = take_all(change, [call for _, call in claims])
        answers.update(zip((place for place, _ in claims), taken, strict=True))
    return [answers[place] for place in range(len(calls))]
