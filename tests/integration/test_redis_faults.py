"""A Redis in trouble: each state is named with its remedy, nothing is lost, and all goes on without a restart."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from brain import Event, EventStream
from brain.errors import Unavailable
from brain.stream.backends import MarkMismatch, NoGroup, position_key
from brain.stream.backends.redis import RedisBackend
from brain.stream.backends.redis_health import weaknesses
from brain.stream.dead_letters import DeadLetter
from support.ports import free_port
from support.redis_server import RedisServer, StartRedis, until

Change = Callable[[RedisServer, redis.Redis], object]


def event(number: int) -> Event:
    return Event(type="policy.rule_created", source="policy_service", payload={"number": number})


def fail_to_save(server: RedisServer, client: redis.Redis) -> None:
    (server.folder / "dump.rdb").mkdir()
    client.config_set("save", "3600 1000000")
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.bgsave()
    until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def save_again(server: RedisServer, client: redis.Redis) -> None:
    (server.folder / "dump.rdb").rmdir()
    client.bgsave()


def change_password(server: RedisServer, client: redis.Redis) -> None:
    client.config_set("requirepass", "other")
    client.client_kill_filter(_type="normal", skipme=True)


TROUBLES: dict[str, tuple[Change, Change, str]] = {
    "killed": (
        lambda server, _: server.kill(),
        lambda server, _: server.start(),
        "cannot be reached.*check that it runs",
    ),
    "hung": (lambda server, _: server.freeze(), lambda server, _: server.thaw(), "does not answer in time"),
    "a replica": (
        lambda server, client: client.replicaof("127.0.0.1", free_port()),
        lambda server, client: client.replicaof("NO", "ONE"),
        "read-only replica; give the URL of the primary",
    ),
    "full": (
        lambda server, client: client.config_set("maxmemory", 1),
        lambda server, client: client.config_set("maxmemory", 0),
        "full .maxmemory.; give it more memory",
    ),
    "without replicas": (
        lambda server, client: client.config_set("min-replicas-to-write", 1),
        lambda server, client: client.config_set("min-replicas-to-write", 0),
        "too few replicas in touch",
    ),
    "not saving": (fail_to_save, save_again, "cannot save to its disk"),
    "another password": (
        change_password,
        lambda server, client: client.config_set("requirepass", ""),
        "refuses the user or password",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_what_is_published_in_trouble_arrives_after_it(
    trouble: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    begin, end, said = TROUBLES[trouble]
    received: list[int] = []
    with redis_server.client() as client:
        async with EventStream.open(f"{redis_server.url}?socket_timeout=0.3", journal=tmp_path / "journal") as stream:
            stream.consumer("g", "*", lambda event: received.append(event.payload["number"]))
            consuming = asyncio.create_task(stream.run_consumers())
            await asyncio.wait_for(stream.publish(event(0)), 60)
            await asyncio.to_thread(begin, redis_server, client)
            receipts = [stream.publish(event(number)) for number in range(1, 10)]
            await asyncio.to_thread(until, lambda: re.search(said, stream.last_error) is not None)
            assert stream.stats()["stored"] == 1
            await asyncio.to_thread(end, redis_server, client)
            positions = await asyncio.wait_for(asyncio.gather(*receipts), 60)
            assert sorted(positions, key=position_key) == positions
            await asyncio.to_thread(until, lambda: {*received} == {*range(10)})
            consuming.cancel()
            await asyncio.gather(consuming, return_exceptions=True)
    assert list(dict.fromkeys(received)) == list(range(10))  # at least once each, in order


def test_a_server_that_is_loading_is_waited_for(start_redis: StartRedis) -> None:
    server = start_redis()
    backend = RedisBackend(server.url)
    backend.append("p", "", "1", [b"event"])
    with server.client() as client:
        for number in range(50):
            client.set(f"other {number}", random.Random(number).randbytes(2000))
        client.save()
    server.kill()
    server.options = ("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024")
    server.start(loaded=False)
    with pytest.raises(Unavailable, match="is loading its data and will answer when that is done"):
        backend.append("p", "1", "2", [b"more"])
    until(lambda: answers(backend))
    assert backend.mark("p") == "1"
    assert len(backend.append("p", "1", "2", [b"more"])) == 1
    assert backend.size()[0] == 2
    backend.close()


def answers(backend: RedisBackend) -> bool:
    try:
        backend.tail()
    except Unavailable:
        return False
    return True


def test_a_full_server_takes_no_events_but_lets_groups_work_so_that_room_can_be_made(redis_server: RedisServer) -> None:
    backend = RedisBackend(redis_server.url)
    positions = backend.append("p", "", "1", [b"x" * 1000] * 100)
    with redis_server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(Unavailable, match="full"):
            backend.append("p", "1", "2", [b"more"])
        backend.create_group("g", "*", "")
        backend.join("g", "a")
        backend.join("g", "b")
        backend.heartbeat("g", "a")
        assert len(backend.fetch("g", "a", 100)) == 100
        backend.expel("g", "a")
        assert len(backend.take_over("g", "b")) == 100
        assert backend.count_attempt("g", positions[0]) == 2
        letter = DeadLetter(group="g", position=positions[0], data=b"x", error="boom", attempts=2, buried_at=1.0)
        backend.dead_letter(letter, "b")
        backend.create_group("picky", "some.*", positions[89])
        backend.join("picky", "a")
        assert len(backend.fetch("picky", "a", 100, lambda data: True)) == 10
        assert backend.rename_group("picky", "brain.picky")
        backend.join("brain.picky", "b")
        assert len(backend.take_over("brain.picky", "b")) == 10
        backend.drop_group("brain.picky")
        backend.ack("g", "b", positions[1:])
        with pytest.raises(Unavailable, match="full"):
            backend.redrive("g")
        assert len(backend.dead_letters("g")) == 1
        assert backend.trim(positions[-1]) == 100
        client.config_set("maxmemory", 0)
    assert len(backend.append("p", "1", "2", [b"more"])) == 1
    assert backend.redrive("g") == 1
    backend.close()


def test_a_hung_server_ends_each_call_in_time_and_no_connections_pile_up(redis_server: RedisServer) -> None:
    backend = RedisBackend(f"{redis_server.url}?socket_timeout=0.2")
    backend.append("p", "", "1", [b"event"])
    tail = backend.tail()
    redis_server.freeze()
    began = time.monotonic()
    for _ in range(4):
        with pytest.raises(Unavailable, match="does not answer in time"):
            backend.wait(tail, 10)
        with pytest.raises(Unavailable, match="does not answer in time"):
            backend.append("p", "1", "2", [b"more"])
    assert time.monotonic() - began < 10  # not 4 times 10 s, and more
    redis_server.thaw()
    assert backend.wait("", 1)
    assert len(backend.append("p", "1", "2", [b"more"])) <= 1  # the hung server may have carried one out after all
    assert backend.size()[0] == 2
    with redis_server.client() as client:
        until(lambda: len(client.client_list()) <= 3)
    backend.close()


def test_waiting_longer_than_the_timeout_is_no_fault(redis_server: RedisServer) -> None:
    backend = RedisBackend(f"{redis_server.url}?socket_timeout=0.2")
    backend.append("p", "", "1", [b"event"])
    began = time.monotonic()
    assert not backend.wait(backend.tail(), 0.5)
    assert 0.5 <= time.monotonic() - began < 10
    backend.close()


@pytest.mark.parametrize("hang", [True, False])
def test_closing_ends_calls_under_way(hang: bool, redis_server: RedisServer) -> None:
    backend = RedisBackend(redis_server.url)
    backend.append("p", "", "1", [b"event"])
    tail = backend.tail()
    failures: list[Exception] = []

    def call(function: Callable[..., object], *args: object) -> None:
        try:
            function(*args)
        except Unavailable as error:
            failures.append(error)

    if hang:
        redis_server.freeze()
    threads = [threading.Thread(target=call, args=(backend.wait, tail, 60))]
    if hang:
        threads += [threading.Thread(target=call, args=(backend.append, "p", "1", "2", [b"x" * 1000] * 2000))]
        threads += [threading.Thread(target=call, args=(backend.tail,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(backend._redis.connection_pool._in_use_connections) == len(threads))
    began = time.monotonic()
    backend.close()
    for thread in threads:
        thread.join(20)
    assert time.monotonic() - began < 20  # one waits for 60 s
    assert len(failures) == len(threads)
    with pytest.raises(Unavailable, match="the stream is closed"):
        backend.tail()


async def test_a_stream_on_a_hung_server_closes_and_the_next_one_ships_the_rest(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    url = f"{redis_server.url}?socket_timeout=30"
    async with EventStream.open(url, journal=tmp_path / "journal") as stream:
        await asyncio.wait_for(stream.publish(event(0)), 60)
        redis_server.freeze()
        for number in range(1, 5):
            assert stream.publish(event(number)).refused is None
        began = time.monotonic()
        await stream.close(timeout=0.3)
        assert time.monotonic() - began < 15  # it does not wait for the server
    redis_server.thaw()
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        await asyncio.to_thread(until, lambda: stream.backend.size()[0] == 5)
        found = await stream.read()
    assert [stored.event.payload["number"] for stored in found] == list(range(5))


def test_counting_goes_by_steps(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain.stream.backends.redis._SKIP", 3)
    backend = RedisBackend(redis_server.url)
    positions = backend.append("p", "", "1", [b"event"] * 10)
    assert [backend.nth_oldest(n) for n in (1, 3, 4, 10, 11)] == [positions[i] for i in (0, 2, 3, 9, 9)]
    assert backend.nth_oldest(0) == ""
    backend.close()


def test_a_group_lost_with_the_servers_memory_is_reported(redis_server: RedisServer) -> None:
    backend = RedisBackend(redis_server.url)
    backend.append("p", "", "1", [b"event"])
    backend.create_group("g", "*", "")
    backend.join("g", "c")
    redis_server.restart(empty=True)
    with pytest.raises(NoGroup):
        backend.fetch("g", "c", 1)
    with pytest.raises(MarkMismatch) as caught:
        backend.append("p", "1", "2", [b"more"])
    assert caught.value.stored == ""
    backend.close()


def test_warnings_of_a_careless_server(start_redis: StartRedis) -> None:
    policy = ("--maxmemory-policy", "allkeys-lru", "--maxmemory", "2mb")
    server = start_redis(*policy)
    backend = RedisBackend(server.url)
    backend.append("p", "", "1", [b"x" * 1000] * 600)
    said = " | ".join(backend.warnings())
    assert "maxmemory-policy allkeys-lru: events are deleted without a word when memory is short" in said
    assert "of maxmemory (2 MiB) are in use" in said
    assert "no append-only file" in said
    with server.client() as client:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
        until(lambda: client.info("persistence")["aof_enabled"] == 1)
        assert backend.warnings() == []
        client.replicaof("127.0.0.1", free_port())
    assert [line.partition(";")[0] for line in backend.warnings()] == ["it is a read-only replica"]
    backend.close()


def test_warnings_that_no_server_here_can_show() -> None:
    fine = {"redis_version": "7.2.4", "aof_enabled": 1}
    assert weaknesses(fine) == []
    assert weaknesses(fine | {"valkey_version": "8.1.0"}) == []
    assert "version 6.2.14 is too old" in weaknesses(fine | {"redis_version": "6.2.14"})[0]
    assert "once maxmemory is set" in weaknesses(fine | {"maxmemory_policy": "allkeys-random"})[0]
    assert weaknesses(fine | {"maxmemory_policy": "volatile-lru", "maxmemory": 1 << 30}) == []
    assert "cannot be written" in weaknesses(fine | {"aof_last_write_status": "err"})[0]
    assert "snapshot failed" in weaknesses(fine | {"rdb_last_bgsave_status": "err"})[0]


def test_a_command_that_was_given_up_is_not_delivered_later() -> None:
    """Else one held up by a network that comes back would be carried out after those that followed it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        backend = RedisBackend(f"redis://127.0.0.1:{listener.getsockname()[1]}?socket_timeout=0.3")
        answering = threading.Thread(target=lambda: accepted.append(greeted(listener)))
        accepted: list[socket.socket] = []
        answering.start()
        with pytest.raises(Unavailable, match="does not answer in time"):
            backend.append("p", "", "1", [b"x" * 1000] * 2000)
        answering.join()
        with accepted[0] as server, pytest.raises(ConnectionResetError):
            read_all(server)
        backend.close()


def greeted(listener: socket.socket) -> socket.socket:
    """The next connection, with what it says first (the client's name and version) answered."""
    server, _ = listener.accept()
    server.recv(1 << 10)
    server.sendall(b"+OK\r\n")
    server.recv(1 << 10)
    server.sendall(b"+OK\r\n")
    return server


def read_all(server: socket.socket) -> None:
    while server.recv(1 << 16):
        pass
