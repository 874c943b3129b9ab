from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers

from brain.access.key_form import digest_of
from brain.errors import InvalidInput
from brain.server.known_keys import KnownKeys
from brain.server.security import check_exposure, is_loopback
from brain.server.sessions import SESSION_SECONDS, Sessions
from brain.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST.", "a.localhost"])
def test_loopback_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "localhost.example.com", "127.0.0.1.x", ""]
)
def test_names_that_others_may_reach(host: str) -> None:
    assert not is_loopback(host)


def test_listening_beyond_this_machine_needs_a_key() -> None:
    check_exposure(Settings(host="127.0.0.1"))
    check_exposure(Settings(host="0.0.0.0", api_key="k" * 22))
    with pytest.raises(InvalidInput, match="BRAIN_API_KEY"):
        check_exposure(Settings(host="0.0.0.0"))


def sessions(key: str, clock: Callable[[], float] = time.time) -> tuple[Sessions, str]:
    return Sessions(KnownKeys(None, key, clock)), digest_of(key)


def test_a_session_ends_by_time_and_by_a_new_key() -> None:
    now = 1000.0
    ours, digest = sessions("key", lambda: now)
    cookie = ours.issue(digest)
    assert ours.digest_of(cookie) == digest
    assert sessions("other", lambda: now)[0].digest_of(cookie) is None
    now += SESSION_SECONDS + 1
    assert ours.digest_of(cookie) is None


def test_a_changed_cookie_is_refused() -> None:
    ours, digest = sessions("key", lambda: 1000.0)
    end, sign, mac = ours.issue(digest).split(".")
    changed = (f"{int(end) + 1}.{sign}.{mac}", f"{end}.{sign}.{mac[:-1]}", f"{end}.{sign}.", f".{sign}.{mac}", "", "x")
    for forged in (*changed, f"{end}.{mac}", f"².{sign}.{mac}", f"{end}.{sign}.é", f"{end}..{mac}"):
        assert ours.digest_of(forged) is None


def test_a_session_is_found_among_other_cookies() -> None:
    ours, digest = sessions("key")
    assert ours.digest_in(Headers({"cookie": f"a=b; brain_session={ours.issue(digest)}"})) == digest
    assert ours.digest_in(Headers({})) is None
    assert ours.digest_in(Headers({"cookie": "brain_session=1.2; brain_session"})) is None


def test_a_short_key_is_for_this_machine_alone() -> None:
    check_exposure(Settings(host="127.0.0.1", api_key="k"))
    with pytest.raises(InvalidInput, match="22 letters"):
        check_exposure(Settings(host="0.0.0.0", api_key="x" * 21))
