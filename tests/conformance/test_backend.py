"""What every backend must do, run on each of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from brain.charter import Event
from brain.errors import Conflict
from brain.stream.backends import Backend, Fenced, MarkMismatch, NoGroup, open_backend, position_key
from brain.stream.dead_letters import DeadLetter


@pytest.fixture
def backend(url: str) -> Iterator[Backend]:
    opened = open_backend(url)
    yield opened
    opened.close()


def fill(backend: Backend, count: int, start: int = 0) -> list[str]:
    previous = str(start) if start else ""
    return backend.append("p1", previous, str(start + count), [b"event %d" % (start + i) for i in range(count)])


def letter(group: str, position: str, data: bytes = b"event 0") -> DeadLetter:
    return DeadLetter(group=group, position=position, data=data, error="boom", attempts=3, buried_at=1.0)


def test_append_keeps_order_and_bytes(backend: Backend) -> None:
    assert backend.tail() == ""
    assert backend.read("", 10) == []
    first = fill(backend, 600)
    second = backend.append("p2", "", "1", [b"\xff\x00 not json"])
    assert len(first) == 600
    assert sorted(first + second, key=position_key) == first + second
    entries = backend.read("", 1000)
    assert [entry.position for entry in entries] == first + second
    assert [entry.data for entry in entries] == [b"event %d" % i for i in range(600)] + [b"\xff\x00 not json"]
    assert backend.tail() == second[0]
    assert [entry.position for entry in backend.read(first[9], 3)] == first[10:13]
    assert [entry.position for entry in backend.read_back("", 2)] == [second[0], first[599]]
    assert [entry.position for entry in backend.read_back(first[2], 5)] == [first[1], first[0]]
    assert backend.size()[0] == 601


def test_append_happens_once(backend: Backend) -> None:
    fill(backend, 3)
    assert backend.mark("p1") == "3"
    assert fill(backend, 3) == []
    assert len(backend.read("", 10)) == 3
    with pytest.raises(MarkMismatch) as caught:
        backend.append("p1", "7", "9", [b"x"])
    assert caught.value.stored == "3"
    assert len(backend.read("", 10)) == 3
    backend.forget("p1")
    assert backend.mark("p1") == ""


def test_wait_wakes_for_an_append(backend: Backend) -> None:
    fill(backend, 1)
    tail = backend.tail()
    assert backend.wait("", 0.01) == tail
    assert backend.wait(tail, 0.01) == ""
    woken: list[str] = []
    thread = threading.Thread(target=lambda: woken.append(backend.wait(tail, 60)))
    thread.start()
    (position,) = fill(backend, 1, start=1)
    thread.join(60)
    assert woken == [position]


def test_wait_gives_the_newest_of_many(backend: Backend) -> None:
    positions = fill(backend, 5)
    assert backend.wait(positions[0], 0.01) == positions[-1]
    assert backend.wait(positions[-2], 0.01) == positions[-1]


def test_a_group_hands_each_event_to_one_consumer(backend: Backend) -> None:
    positions = fill(backend, 10)
    backend.create_group("g", "*", "")
    backend.create_group("g", "threat.*", positions[5])  # exists: only the pattern changes
    for consumer in ("a", "b"):
        backend.join("g", consumer)
    first = backend.fetch("g", "a", 4)
    second = backend.fetch("g", "b", 100)
    assert [entry.position for entry in first + second] == positions
    assert [entry.data for entry in first] == [b"event %d" % i for i in range(4)]
    assert backend.fetch("g", "a", 4) == []
    (info,) = backend.groups()
    assert (info.name, info.pattern, info.lag, info.pending, info.consumers) == ("g", "threat.*", 0, 10, 2)
    assert position_key(info.safe) < position_key(positions[0])
    backend.ack("g", "a", [entry.position for entry in first])
    backend.ack("g", "b", [entry.position for entry in second[1:]])
    (info,) = backend.groups()
    assert info.pending == 1
    assert position_key(positions[3]) <= position_key(info.safe) < position_key(positions[4])
    backend.ack("g", "b", [second[0].position])
    assert backend.groups()[0].safe == positions[-1]


def test_groups_are_independent_and_start_where_asked(backend: Backend) -> None:
    positions = fill(backend, 5)
    backend.create_group("all", "*", "")
    backend.create_group("late", "*", positions[2])
    for group in ("all", "late"):
        backend.join(group, "c")
    assert len(backend.fetch("all", "c", 10)) == 5
    assert [entry.position for entry in backend.fetch("late", "c", 10)] == positions[3:]


def test_an_unknown_group_is_reported(backend: Backend) -> None:
    positions = fill(backend, 1)
    for call in (
        lambda: backend.fetch("nope", "c", 1),
        lambda: backend.join("nope", "c"),
        lambda: backend.drop_group("nope"),
        lambda: backend.redrive("nope"),
    ):
        with pytest.raises((NoGroup, Fenced)):
            call()
        assert backend.tail() == positions[-1], "no answer is left over for the next call"


def test_what_a_lost_member_held_is_taken_over(backend: Backend) -> None:
    positions = fill(backend, 6)
    backend.create_group("g", "*", "")
    backend.join("g", "dead")
    backend.join("g", "alive")
    backend.fetch("g", "dead", 4)
    backend.ack("g", "dead", positions[:1])
    assert backend.take_over("g", "alive") == []
    beats = backend.heartbeat("g", "alive")
    assert set(beats) == {"dead", "alive"}
    backend.expel("g", "dead", beats["dead"] + 1)  # it has beaten meanwhile: nothing happens
    assert backend.take_over("g", "alive") == []
    backend.expel("g", "dead", beats["dead"])
    held = backend.take_over("g", "alive")
    assert [(one.position, one.data, one.attempts) for one in held] == [
        (positions[i], b"event %d" % i, 1) for i in (1, 2, 3)
    ]
    for call in (
        lambda: backend.ack("g", "dead", positions[1:2]),
        lambda: backend.heartbeat("g", "dead"),
        lambda: backend.fetch("g", "dead", 1),
        lambda: backend.dead_letter(letter("g", positions[1]), "dead"),
    ):
        with pytest.raises(Fenced):
            call()
    assert backend.groups()[0].pending >= 3
    backend.ack("g", "alive", positions[1:4])
    backend.take_over("g", "alive")  # what the fenced fetch may have left behind
    rest = [entry.position for entry in backend.fetch("g", "alive", 10)]
    backend.ack("g", "alive", [*positions[4:], *rest])
    assert backend.groups()[0].pending == 0


def test_attempts_are_kept_over_a_take_over(backend: Backend) -> None:
    positions = fill(backend, 1)
    backend.create_group("g", "*", "")
    backend.join("g", "a")
    backend.fetch("g", "a", 1)
    assert backend.count_attempt("g", positions[0]) == 2
    assert backend.count_attempt("g", positions[0]) == 3
    backend.expel("g", "a")
    backend.join("g", "b")
    assert backend.take_over("g", "b")[0].attempts == 3
    backend.ack("g", "b", positions)
    with pytest.raises(Fenced):
        backend.count_attempt("g", positions[0])


def test_dead_letters_go_back_to_their_group_alone(backend: Backend) -> None:
    positions = fill(backend, 3)
    for group in ("g", "other"):
        backend.create_group(group, "*", "")
        backend.join(group, "c")
        backend.fetch(group, "c", 10)
    backend.ack("other", "c", positions)
    backend.dead_letter(letter("g", positions[0], b"\xffbad"), "c")
    backend.dead_letter(letter("g", positions[1]), "c")
    assert backend.groups()[0].dead == 2
    assert [one.data for one in backend.dead_letters("g")] == [b"\xffbad", b"event 0"]
    assert [one.position for one in backend.dead_letters()] == positions[:2]
    assert backend.redrive("g", [positions[0]]) == 1
    assert backend.redrive("g", [positions[0]]) == 0
    assert backend.fetch("other", "c", 10) == []
    (again,) = backend.fetch("g", "c", 10)
    assert again.data == b"\xffbad"
    assert [entry.position for entry in backend.read("", 10)] == positions
    assert [entry.position for entry in backend.read_back("", 10)] == positions[::-1]
    backend.ack("g", "c", [again.position])
    assert backend.discard("g") == 1
    assert backend.dead_letters() == []
    assert {info.name: info.pending for info in backend.groups()} == {"g": 1, "other": 0}


def test_trim_and_look_up_by_count_and_time(backend: Backend) -> None:
    positions = fill(backend, 5)
    assert backend.nth_oldest(2) == positions[1]
    assert position_key(backend.position_at(time.time() - 3600)) < position_key(positions[0])
    assert backend.trim(positions[1]) == 2
    assert [entry.position for entry in backend.read("", 10)] == positions[2:]
    assert backend.size()[0] == 3
    backend.trim(positions[4])
    assert backend.tail() == positions[4]
    after = fill(backend, 1, start=5)
    assert position_key(after[0]) > position_key(positions[4])


def test_drop_group(backend: Backend) -> None:
    fill(backend, 2)
    backend.create_group("g", "*", "")
    backend.join("g", "c")
    backend.fetch("g", "c", 1)
    backend.drop_group("g")
    assert backend.groups() == []
    backend.create_group("g", "*", "")
    backend.join("g", "c")
    assert len(backend.fetch("g", "c", 10)) == 2


def test_appends_and_groups_from_many_threads(backend: Backend) -> None:
    backend.create_group("g", "*", "")
    seen: list[list[bytes]] = [[], []]
    failures: list[BaseException] = []

    def produce(name: str) -> None:
        for i in range(50):
            backend.append(name, str(i) if i else "", str(i + 1), [f"{name} {i}".encode()] * 4)

    def consume(index: int) -> None:
        try:
            backend.join("g", f"c{index}")
            while sum(map(len, seen)) < 600:
                entries = backend.fetch("g", f"c{index}", 7)
                backend.ack("g", f"c{index}", [entry.position for entry in entries])
                seen[index] += [entry.data for entry in entries]
        except BaseException as error:  # handed to the test below
            failures.append(error)
            raise

    threads = [threading.Thread(target=produce, args=(name,)) for name in ("x", "y", "z")]
    threads += [threading.Thread(target=consume, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    every = seen[0] + seen[1]
    assert sorted(every) == sorted(f"{name} {i}".encode() for name in "xyz" for i in range(50) for _ in range(4))


def test_dead_letters_keep_the_order_of_the_stream(backend: Backend) -> None:
    positions = fill(backend, 3)
    backend.create_group("g", "*", "")
    backend.join("g", "c")
    backend.fetch("g", "c", 10)
    for buried_at, number in enumerate((2, 0, 1), 1):
        backend.dead_letter(
            DeadLetter(
                group="g",
                position=positions[number],
                data=b"event %d" % number,
                error="boom",
                attempts=1,
                buried_at=float(buried_at),
            ),
            "c",
        )
    assert [one.position for one in backend.dead_letters("g")] == positions
    assert backend.redrive("g", positions[::-1]) == 3
    assert [entry.data for entry in backend.fetch("g", "c", 10)] == [b"event 0", b"event 1", b"event 2"]


def test_a_group_without_members_says_itself_how_far_it_is(backend: Backend) -> None:
    positions = fill(backend, 4)
    with pytest.raises(NoGroup):
        backend.advance("g", positions[0])
    backend.create_group("g", "*", "")
    backend.advance("g", positions[2])
    (group,) = backend.groups()
    assert (group.read_to, group.safe, group.lag, group.pending) == (positions[2], positions[2], 1, 0)
    backend.advance("g", "")
    assert backend.groups()[0].read_to == ""


def test_what_its_group_does_not_follow_any_more_is_not_redriven(backend: Backend) -> None:
    events = [Event(type=type, source="test_service", payload={}) for type in ("a.old", "b.new")]
    backend.append("p1", "", "2", [event.encode() for event in events])
    backend.create_group("g", "*", "")
    backend.join("g", "c")
    held = backend.fetch("g", "c", 2)
    old, new = [entry.position for entry in held]
    for entry in held:
        backend.dead_letter(letter("g", entry.position, entry.data), "c")
    backend.create_group("g", "b.*,c.*", "")
    for chosen in (None, [old], [old, new]):
        with pytest.raises(Conflict, match=rf"group 'g' follows b\.\*,c\.\* and would pass over .* at {old};"):
            backend.redrive("g", chosen)
    assert [one.position for one in backend.dead_letters("g")] == [old, new]
    assert backend.redrive("g", [new]) == 1
    assert [one.position for one in backend.dead_letters("g")] == [old]


def test_what_is_redriven_is_read_by_its_own_group_alone(backend: Backend) -> None:
    positions = fill(backend, 1)
    backend.create_group("g", "*", "")
    backend.join("g", "a")
    backend.fetch("g", "a", 1)
    backend.dead_letter(letter("g", positions[0]), "a")
    assert backend.redrive("g") == 1
    assert [entry.position for entry in backend.read("", 10)] == positions
    assert [entry.data for entry in backend.read("", 10, "g")] == [b"event 0", b"event 0"]
    assert [entry.position for entry in backend.read("", 10, "h")] == positions
