"""Stores whose file or server is missing, broken, frozen, restarted: an error that says so, and quickly."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from brain.errors import InvalidInput, Unavailable
from brain.store import Store, open_store
from support.ports import free_port
from support.redis_server import RedisServer, until


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("mysql://host/db", "the scheme must be memory, sqlite, redis or rediss"),
        ("brain.db", "the scheme must be"),
        ("sqlite://brain.db", "write sqlite:///brain.db"),
        ("sqlite:///", "write sqlite:///brain.db"),
        ("sqlite:///:memory:", "memory:// to keep nothing"),
        ("redis://127.0.0.1:port/0", "write redis://host:6379/0"),
    ],
)
def test_a_bad_url_is_refused_with_the_form_to_use(url: str, remedy: str) -> None:
    with pytest.raises(InvalidInput, match=remedy):
        open_store(url)


def test_an_sqlite_file_in_no_folder(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        open_store(f"sqlite:///{tmp_path / 'nowhere' / 'brain.db'}")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "brain.db"
    path.write_text("this is a letter, not a database " * 100)
    with pytest.raises(Unavailable, match="it is no SQLite database"):
        open_store(f"sqlite:///{path}")


def test_a_closed_sqlite_store_says_so(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    store.close()
    with pytest.raises(Unavailable, match="closed"):
        store.get("c", "k")


def test_reading_goes_on_while_another_writer_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "brain.db"
    store = open_store(f"sqlite:///{path}")
    store.put("c", "k", b"before")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("UPDATE documents SET data = 'uncommitted'")
    found = store.get("c", "k")
    assert found is not None
    assert found.data == b"before"
    other.execute("ROLLBACK")
    other.close()
    assert store.put("c", "k", b"after") == 2
    store.close()


def test_no_redis_at_the_address() -> None:
    with pytest.raises(Unavailable, match=r"Redis at 127\.0\.0\.1:.*check that it runs"):
        open_store(f"redis://user:secret@127.0.0.1:{free_port()}/0")


def test_the_message_about_redis_holds_no_password() -> None:
    with pytest.raises(Unavailable) as caught:
        open_store(f"redis://user:secret@127.0.0.1:{free_port()}/0")
    assert "secret" not in str(caught.value)


def test_a_frozen_redis_is_unavailable_within_the_timeout_and_back_when_it_thaws(redis_server: RedisServer) -> None:
    store = open_store(f"{redis_server.url}?socket_timeout=0.3")
    store.put("c", "k", b"kept")
    redis_server.freeze()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        store.get("c", "k")
    assert time.monotonic() - began < 10
    redis_server.thaw()
    until(lambda: is_kept(store))
    found = store.get("c", "k")
    assert found is not None
    assert found.data == b"kept"
    store.close()


def is_kept(store: Store) -> bool:
    try:
        return store.get("c", "k") is not None
    except Unavailable:
        return False


def test_a_restarted_redis_is_used_again(redis_server: RedisServer) -> None:
    store = open_store(redis_server.url)
    store.put("c", "k", b"1")
    before = store.revision("c")
    redis_server.kill()
    with pytest.raises(Unavailable):
        store.put("c", "k", b"lost")
    redis_server.start()
    assert store.put("c", "k", b"2") == 2
    assert store.revision("c") > before
    store.close()


def test_the_revision_still_grows_after_redis_lost_its_memory(redis_server: RedisServer) -> None:
    store = open_store(redis_server.url)
    store.put("c", "k", b"1")
    before = store.revision("c")
    redis_server.restart(empty=True)
    assert store.get("c", "k") is None
    store.put("c", "k", b"1", expected=0)
    assert store.revision("c") > before
    store.close()
