"""`brain dead-letters`, `brain groups` and `brain events trace` on real streams, as a user runs them."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from brain import DeliveryOptions, Event, EventStream, correlation
from brain.charter import in_the_wake_of
from brain.cli import main
from support.waiting import until


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Brain = Callable[..., Answer]


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a stream that several processes can share: the command opens it beside the test."""
    return f"sqlite:///{tmp_path / 'brain.db'}" if request.param == "sqlite" else request.getfixturevalue("redis_url")


@pytest.fixture
def brain(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Brain:
    monkeypatch.setenv("BRAIN_STREAM", "memory://")  # --stream goes before it
    monkeypatch.setattr("brain.logs.configure_logs", lambda: None)  # the process's logs are pytest's

    def run(*arguments: str) -> Answer:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["brain", *arguments, "--stream", url])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Answer(int(ended.value.code or 0), out, err)

    return run


def make(n: int, event_type: str = "order.paid", **payload: Any) -> Event:
    return Event(type=event_type, source="shop_service", payload={"n": n, **payload})


@pytest.fixture
async def letters(stream: EventStream) -> list[Event]:
    """Three dead letters of the group `billing`; `mailing` has handled everything."""
    events = [make(0), make(1, text="\x1b[31mred"), make(2)]

    async def refuse(event: Event) -> None:
        raise ValueError(f"no account\nfor {event.payload['n']}")

    async def accept(event: Event) -> None:
        pass

    stream.consumer("billing", "order.*", refuse, DeliveryOptions(max_attempts=2, retry_delay=0.01))
    stream.consumer("mailing", "*", accept)
    consuming = asyncio.create_task(stream.run_consumers())
    for event in events:
        await stream.publish(event)
    await until(lambda: settled(stream))
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    return events


async def settled(stream: EventStream) -> bool:
    groups = {group.name: group for group in await stream.groups()}
    return len(groups) == 2 and groups["billing"].dead == 3 and all(g.lag == g.pending == 0 for g in groups.values())


def test_dead_letters_are_listed_with_their_history(letters: list[Event], brain: Brain) -> None:
    rows = brain("dead-letters", "list", "--json").json
    rows.sort(key=lambda row: row["event"]["payload"]["n"])  # which of them was given up first is chance
    assert [row["event"]["id"] for row in rows] == [event.id for event in letters]
    first = rows[0]
    assert (first["group"], first["attempts"]) == ("billing", 2)
    assert first["error"] == "ValueError: no account\nfor 0"
    assert [line.partition(" ")[2] for line in first["history"]] == ["ValueError: no account\nfor 0"] * 2
    data = base64.b64decode(first["data_base64"])
    assert data == letters[0].encode()
    assert first["size"] == len(data)
    assert first["preview"] == data[:160].decode()
    assert brain("dead-letters", "list", "mailing", "--json").json == []
    assert len(brain("dead-letters", "list", "billing", "-n", "2", "--json").json) == 2


def test_dead_letters_for_people(letters: list[Event], brain: Brain) -> None:
    code, out, _ = brain("dead-letters", "list")
    assert code == 0
    assert f"order.paid  {letters[0].id}  2 attempts, given up 20" in out
    assert out.count("    error: ValueError: no account\\nfor ") == 3
    assert out.count("    failed 20") == 6
    assert '    {"id":"evt_shop_' in out
    assert "\x1b" not in out


async def test_redrive_by_position_reaches_that_group_alone(
    letters: list[Event], brain: Brain, stream: EventStream
) -> None:
    position_of = {
        row["event"]["payload"]["n"]: row["position"] for row in brain("dead-letters", "list", "--json").json
    }
    positions = [position_of[n] for n in range(3)]
    answer = brain("dead-letters", "redrive", "billing", positions[2], positions[0])
    assert answer == Answer(0, "2 redriven to billing\n", "")
    assert [row["position"] for row in brain("dead-letters", "list", "--json").json] == [positions[1]]
    seen: dict[str, list[int]] = {"billing": [], "mailing": []}
    consumers = [asyncio.create_task(collect(stream, group, seen[group])) for group in seen]
    await stream.publish(make(3))
    await until(lambda: len(seen["billing"]) >= 3 and bool(seen["mailing"]))
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    assert sorted(seen["billing"]) == [0, 2, 3]
    assert seen["mailing"] == [3]


async def collect(stream: EventStream, group: str, seen: list[int]) -> None:
    async for event in stream.subscribe("*", group=group):
        seen.append(event.payload["n"])


def test_redrive_and_discard_of_all(letters: list[Event], brain: Brain) -> None:
    assert brain("dead-letters", "discard", "billing", "--all").out == "3 of billing discarded\n"
    assert brain("dead-letters", "redrive", "billing", "--all").out == "0 redriven to billing\n"
    assert brain("dead-letters", "redrive", "billing", "--all", "--json").json == {"group": "billing", "redriven": 0}
    assert brain("dead-letters", "discard", "billing", "--all", "--json").json == {"group": "billing", "discarded": 0}
    code, out, err = brain("dead-letters", "list")
    assert (code, out, err) == (0, "", "no dead letters\n")


BAD_ARGUMENTS = {
    ("nobody", "--all"): "group 'nobody' does not exist; the groups are billing, mailing",
    ("billing",): "give either positions, as `brain dead-letters list` shows them, or --all",
    ("billing", "1", "--all"): "give either positions",
    ("billing", "first"): "position: 'first' is not a position",
    ("billing", "POSITION", "999999999"): "group 'billing' has no dead letter at 999999999",
}


@pytest.mark.parametrize("command", ["redrive", "discard"])
def test_bad_arguments_change_nothing(letters: list[Event], brain: Brain, command: str) -> None:
    rows = brain("dead-letters", "list", "--json").json
    for arguments, fault in BAD_ARGUMENTS.items():
        given = (rows[0]["position"] if argument == "POSITION" else argument for argument in arguments)
        code, out, err = brain("dead-letters", command, *given)
        assert (code, out) == (2, ""), arguments
        assert err.startswith("error: ")
        assert fault in err
        assert brain("dead-letters", "list", "--json").json == rows


def test_bytes_that_are_no_event_are_shown(stream: EventStream, brain: Brain) -> None:
    from brain.stream.dead_letters import DeadLetter

    backend = stream.backend
    backend.create_group("billing", "*", "")
    backend.join("billing", "c")
    backend.append("other", "", "1", [b"\x00\xffnot json"])
    ((position, data),) = backend.fetch("billing", "c", 1)
    letter = DeadLetter(group="billing", position=position, data=data, error="bad", attempts=1, buried_at=1.7e9)
    backend.dead_letter(letter, "c")
    (row,) = brain("dead-letters", "list", "--json").json
    assert row["event"] is None
    assert row["preview"] == "\x00\ufffdnot json"
    assert base64.b64decode(row["data_base64"]) == data
    assert (
        "10 bytes that are no event  1 attempt, given up 2023-11-14T22:13:20.000Z" in brain("dead-letters", "list").out
    )


def test_groups_are_listed(letters: list[Event], brain: Brain) -> None:
    rows = brain("groups", "list", "--json").json
    assert [(row["name"], row["pattern"], row["lag"], row["pending"], row["dead"]) for row in rows] == [
        ("billing", "order.*", 0, 0, 3),
        ("mailing", "*", 0, 0, 0),
    ]
    assert brain("groups", "--json").json == rows
    head, first, second = brain("groups").out.splitlines()
    assert head.split() == ["GROUP", "PATTERN", "LAG", "PENDING", "DEAD", "CONSUMERS", "READ", "TO"]
    assert first.split()[:5] == ["billing", "order.*", "0", "0", "3"]
    assert second.split()[0] == "mailing"


def test_a_group_is_removed_only_on_purpose(letters: list[Event], brain: Brain) -> None:
    code, _, err = brain("groups", "remove", "billing")
    assert code == 2
    assert "0 events to read, 0 unacknowledged and 3 dead letters" in err
    assert brain("groups", "remove", "billing", "--yes") == Answer(0, "billing removed\n", "")
    assert [row["name"] for row in brain("groups", "list", "--json").json] == ["mailing"]
    assert brain("groups", "remove", "billing", "--yes").code == 2
    assert brain("groups", "--json", "remove", "mailing", "--yes").code == 2


def test_no_groups_yet(stream: EventStream, brain: Brain) -> None:
    assert brain("groups") == Answer(0, "", "no groups\n")
    assert brain("groups", "--json").json == []


async def test_a_story_is_one_tree_across_modules(stream: EventStream, brain: Brain) -> None:
    def event(event_type: str, source: str, at: float, **payload: Any) -> Event:
        made = Event(type=event_type, source=source, payload=payload, timestamp=1_703_000_000.0 + at)
        stream.publish(made)
        return made

    with correlation('order "4711" ü'):
        denied = event("policy.action_denied", "policy_service", 0.0, agent_id="a1", action="delete")
        with in_the_wake_of(denied):
            threat = event("threat.detected", "threats_service", 0.25, severity="HIGH", metadata={"a": 1})
            with in_the_wake_of(threat):
                event("immune.event_published", "immune_service", 0.5, ok=True, steps=[1, 2])
            event("incident.opened", "incidents_service", 1.0, note="\x1b[2J")
    event("policy.action_denied", "policy_service", 2.0, agent_id="another")
    await stream.publish(make(9))

    code, out, _ = brain("events", "trace", 'order "4711" ü')
    assert code == 0
    lines = [line.rstrip().split(maxsplit=3) for line in out.splitlines()]
    assert lines[0][0] == "2023-12-19T15:33:20.000Z"
    assert [line[1] for line in lines] == ["+0.000", "+0.250", "+0.500", "+1.000"]
    assert [" ".join(line[3].split()) for line in lines] == [
        "policy.action_denied policy_service agent_id=a1 action=delete",
        "├─ threat.detected threats_service severity=HIGH metadata={…}",
        "│ └─ immune.event_published immune_service ok=true steps=[2]",
        "└─ incident.opened incidents_service note=\\x1b[2J",
    ]
    rows = brain("events", "trace", 'order "4711" ü', "--json").json
    assert [(row["depth"], row["delta"]) for row in rows] == [(0, 0.0), (1, 0.25), (2, 0.5), (1, 1.0)]
    assert [row["causation_id"] for row in rows] == [None, denied.id, threat.id, denied.id]
    assert rows[1]["event"]["payload"] == {"severity": "HIGH", "metadata": {"a": 1}}


async def test_a_story_begins_with_the_event_that_lent_its_id(stream: EventStream, brain: Brain) -> None:
    first = make(1)
    stream.publish(first)
    with in_the_wake_of(first):
        second = make(2)
    await stream.publish(second)
    rows = brain("events", "trace", first.id, "--json").json
    assert [(row["event"]["id"], row["depth"]) for row in rows] == [(first.id, 0), (second.id, 1)]
    assert len(brain("events", "trace", first.id, "--since", "1h").out.splitlines()) == 2


async def test_an_unknown_story(stream: EventStream, brain: Brain) -> None:
    await stream.publish(make(1))
    code, out, err = brain("events", "trace", "nothing")
    assert (code, out) == (2, "")
    assert "no event with the correlation id 'nothing'" in err
