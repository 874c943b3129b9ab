"""A primary, its replica and three Sentinels, all real: the stream follows the primary wherever it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brain.errors import Unavailable
from brain.store import open_store
from brain.stream.backends import open_backend
from support.ports import free_port
from support.redis_groups import Watched
from support.redis_server import until
from support.traffic import through


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    servers = Watched(tmp_path)
    try:
        yield servers.start()
    finally:
        servers.kill()


@pytest.mark.parametrize("end", ["freeze", "kill"])
async def test_a_failover_loses_nothing_and_needs_no_restart(end: str, watched: Watched, tmp_path: Path) -> None:
    watched.ready_to_fail_over()
    primary, replica = watched.servers

    def fail_over() -> None:
        primary.kill() if end == "kill" else primary.freeze()
        watched.sentinels[0].kill()  # one of the Sentinels may be gone too
        until(replica.is_primary)

    accepted, received = await through(f"{watched.url}?socket_timeout=0.5", tmp_path / "journal", fail_over)
    assert received == accepted
    store = open_store(watched.url)
    assert store.put("c", "k", b"1") == 1
    store.close()


def test_a_name_that_no_sentinel_knows_and_sentinels_that_do_not_answer(watched: Watched) -> None:
    wrong = open_backend(watched.url.replace("/stream/", "/other/"))
    with pytest.raises(Unavailable, match=r"Redis 'other' of the Sentinels at .* is not known, or not up"):
        wrong.tail()
    wrong.close()
    nobody = open_backend(f"redis+sentinel://:secret@127.0.0.1:{free_port()}/stream?sentinel_password=secret")
    with pytest.raises(Unavailable, match="check the name and the Sentinels") as caught:
        nobody.tail()
    assert "secret" not in f"{caught.value} {caught.value.__cause__!r}"
    nobody.close()


def test_passwords_of_the_server_and_of_the_sentinels_are_two_things(watched: Watched) -> None:
    for server in watched.servers:
        with server.client() as client:
            client.execute_command("ACL SETUSER", "ann", "on", ">data-word", "~*", "+@all")
    for sentinel in watched.sentinels:
        with sentinel.client() as client:
            client.execute_command("ACL SETUSER", "watcher", "on", ">watch-word", "+@all")
    url = watched.url.replace("://", "://ann:data-word@")
    backend = open_backend(f"{url}?sentinel_username=watcher&sentinel_password=watch-word")
    assert len(backend.append("p", "", "1", [b"event"])) == 1
    backend.close()
    backend = open_backend(f"{url}?sentinel_username=watcher&sentinel_password=data-word")
    with pytest.raises(Unavailable, match="not known, or not up, as far as any Sentinel answers"):
        backend.tail()
    backend.close()
