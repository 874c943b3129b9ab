"""The protocol of a backend as a state machine: whatever the order of calls, each event is in exactly one place.

An event is unread, held, acknowledged, or a dead letter of the group; a dead letter that is redriven is unread again.
"""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from brain.stream.backends import Backend, Fenced, MarkMismatch, open_backend, position_key
from brain.stream.dead_letters import DeadLetter

GROUP = "g"


class Backends(RuleBasedStateMachine):
    """A model of one group beside the backend."""

    backend: Backend
    members = Bundle("members")

    def __init__(self) -> None:
        super().__init__()
        self.mark = 0
        self.log: list[tuple[str, bytes]] = []
        self.present: set[str] = set()
        self.unread: list[bytes] = []
        self.held: dict[str, tuple[str, bytes]] = {}  # position -> consumer, data
        self.dead: dict[str, bytes] = {}
        self.acknowledged: list[bytes] = []
        self.passed_over: list[bytes] = []
        self.names = 0
        self.backend.create_group(GROUP, "*", "")

    @rule(count=st.integers(1, 5), repeated=st.booleans())
    def append(self, count: int, repeated: bool) -> None:
        records = [b"event %d" % (self.mark + step) for step in range(count)]
        previous, mark = str(self.mark) if self.mark else "", str(self.mark + count)
        positions = self.backend.append("p", previous, mark, records)
        if repeated:  # as after an answer that was lost
            assert self.backend.append("p", previous, mark, records) in ([], positions)
        self.mark += count
        self.log += zip(positions, records, strict=True)
        self.unread += records

    @rule()
    def append_on_a_wrong_mark(self) -> None:
        with pytest.raises(MarkMismatch):
            self.backend.append("p", "999999", "1000000", [b"never"])

    @rule(target=members)
    def join(self) -> str:
        self.names += 1
        name = f"m{self.names}"
        self.backend.join(GROUP, name)
        self.present.add(name)
        return name

    @rule(name=consumes(members))
    def expel(self, name: str) -> None:
        self.backend.expel(GROUP, name)
        self.present.discard(name)
        with pytest.raises(Fenced):
            self.backend.heartbeat(GROUP, name)
        with pytest.raises(Fenced):
            self.backend.ack(GROUP, name, ["1-1" if "-" in self.backend.tail() else "1"])

    @rule(name=members)
    def heartbeat(self, name: str) -> None:
        assert set(self.backend.heartbeat(GROUP, name)) == self.present

    @rule(name=members, limit=st.integers(1, 7))
    def fetch(self, name: str, limit: int) -> None:
        entries = self.backend.fetch(GROUP, name, limit)
        assert [entry.data for entry in entries] == self.unread[: len(entries)]
        assert len(entries) == min(limit, len(self.unread))
        del self.unread[: len(entries)]
        self.held |= {entry.position: (name, entry.data) for entry in entries}

    @rule(name=members, limit=st.integers(1, 7), digit=st.integers(0, 9))
    def fetch_all_that_is_wanted(self, name: str, limit: int, digit: int) -> None:
        """What is not wanted is passed over, and held by nobody."""
        found: list[bytes] = []
        while entries := self.backend.fetch(GROUP, name, limit, lambda data: data.endswith(b"%d" % digit)):
            assert len(entries) <= limit
            found += [entry.data for entry in entries]
            self.held |= {entry.position: (name, entry.data) for entry in entries}
        assert found == [data for data in self.unread if data.endswith(b"%d" % digit)]
        self.passed_over += [data for data in self.unread if not data.endswith(b"%d" % digit)]
        self.unread.clear()

    @rule(name=members, data=st.data())
    def acknowledge(self, name: str, data: st.DataObject) -> None:
        mine = sorted(position for position, (owner, _) in self.held.items() if owner == name)
        chosen = data.draw(st.lists(st.sampled_from(mine), unique=True)) if mine else []
        self.backend.ack(GROUP, name, chosen)
        self.acknowledged += [self.held.pop(position)[1] for position in chosen]

    @rule(name=members)
    def take_over(self, name: str) -> None:
        orphaned = {position: held for position, held in self.held.items() if held[0] not in self.present}
        taken = self.backend.take_over(GROUP, name)
        assert {one.position: one.data for one in taken} == {p: data for p, (_, data) in orphaned.items()}
        self.held |= {position: (name, data) for position, (_, data) in orphaned.items()}

    @rule(name=members, data=st.data())
    def dead_letter(self, name: str, data: st.DataObject) -> None:
        mine = sorted(position for position, (owner, _) in self.held.items() if owner == name)
        if not mine:
            return
        position = data.draw(st.sampled_from(mine))
        event = self.held.pop(position)[1]
        letter = DeadLetter(group=GROUP, position=position, data=event, error="e", attempts=1, buried_at=1.0)
        self.backend.dead_letter(letter, name)
        self.dead[position] = event

    @rule()
    def redrive(self) -> None:
        letters = [letter.data for letter in self.backend.dead_letters(GROUP)]
        assert self.backend.redrive(GROUP) == len(self.dead)
        assert sorted(letters) == sorted(self.dead.values())
        self.unread += letters
        self.dead.clear()

    @invariant()
    def counts_agree(self) -> None:
        (info,) = self.backend.groups()
        assert (info.pending, info.dead, info.consumers) == (len(self.held), len(self.dead), len(self.present))
        first_held = min(map(position_key, self.held), default=None)
        assert first_held is None or position_key(info.safe) < first_held

    @invariant()
    def the_log_is_as_appended(self) -> None:
        assert [tuple(entry) for entry in self.backend.read("", 10_000)] == self.log

    def teardown(self) -> None:
        """Whoever comes last gets all that is neither acknowledged nor dead."""
        self.backend.join(GROUP, "last")
        for name in self.present:
            self.backend.expel(GROUP, name)
        rest = [one.data for one in self.backend.take_over(GROUP, "last")]
        rest += [entry.data for entry in self.backend.fetch(GROUP, "last", 10_000)]
        assert sorted(rest) == sorted([data for _, data in self.held.values()] + self.unread)
        everything = rest + self.acknowledged + self.passed_over + list(self.dead.values())
        assert sorted(everything) == sorted(data for _, data in self.log)


def test_every_event_is_in_exactly_one_place(url: str) -> None:
    fresh = iter(range(1 << 30))

    class Machine(Backends):
        def __init__(self) -> None:
            number = next(fresh)
            own = f"{url}?stream=s{number}" if url.startswith("redis") else url.replace("brain.db", f"{number}.db")
            self.backend = open_backend(own)
            super().__init__()

        def teardown(self) -> None:
            super().teardown()
            self.backend.close()

    long = settings.get_current_profile_name() == "long"
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=500 if long else 15,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        ),
    )
