"""What redaction costs in time of the calling thread: a clean event, one with a secret, a publish and a
decision, with it and without, by turns.

python -m bench.redaction
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from statistics import median
from time import thread_time

import msgspec

from brain import Condition, Event, EventStream, PolicyEngine, Rule, redaction

ROUNDS, CALLS = 15, 2_000
CONTEXT = {
    "agent_id": "agent-17",
    "agent_role": "guest",
    "action": "read",
    "resource": "db/customers",
    "environment": {"region": "eu", "hour": 12},
    "params": {"max_tokens": 100, "limit": 5, "query": "some words of a query to look at"},
}


def microseconds(call: Callable[[], object]) -> float:
    """One call, in the mean of a round."""
    started = thread_time()
    for _ in range(CALLS):
        call()
    return (thread_time() - started) / CALLS * 1e6


def by_turns(name: str, call: Callable[[], object]) -> None:
    """Print the medians of rounds with and without redaction, and their ratio."""
    with_it, without = [], []
    for _ in range(ROUNDS):
        redaction.configure(enabled=True)
        with_it.append(microseconds(call))
        redaction.configure(enabled=False)
        without.append(microseconds(call))
    redaction.configure(enabled=True)
    ratio = median(one / other for one, other in zip(with_it, without, strict=True))
    print(f"{name}: {median(with_it):.2f} us, without {median(without):.2f} us, ratio {ratio:.2f}")


def main() -> None:
    """Measure all."""
    event = Event(type="tool.called", source="tool_service", payload=CONTEXT | {"reason": "a few words " * 12})
    clean, secret = event.encode(), msgspec.json.encode(event.to_dict() | {"payload": {"password": "x1234567"}})
    by_turns("encode", event.encode)
    by_turns(f"a clean event of {len(clean)} bytes", lambda: redaction.redacted_event(clean))
    by_turns("an event with a password", lambda: redaction.redacted_json(secret))
    with tempfile.TemporaryDirectory() as folder, EventStream.open_sync(f"sqlite:///{folder}/brain.db") as stream:
        engine = PolicyEngine(event_stream=stream)
        engine.add_rule(
            Rule(
                id="r",
                name="guests read",
                effect="ALLOW",
                conditions=[Condition(field="agent_role", operator="==", value="guest")],
            )
        )
        by_turns("publish", lambda: stream.publish(event))
        by_turns("a decision, journalled", lambda: engine.evaluate(CONTEXT))


if __name__ == "__main__":
    main()
