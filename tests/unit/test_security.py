from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from brain.errors import InvalidInput
from brain.server.security import SESSION_SECONDS, Sessions, check_exposure, is_loopback
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
    check_exposure(Settings(host="0.0.0.0", api_key="k"))
    with pytest.raises(InvalidInput, match="BRAIN_API_KEY"):
        check_exposure(Settings(host="0.0.0.0"))


def test_the_key_itself_and_nothing_else_is_known() -> None:
    sessions = Sessions("right")
    assert sessions.knows("right")
    for wrong in ("", "Right", "right ", "rightright", "r\udcff"):
        assert not sessions.knows(wrong)


def test_a_session_ends_by_time_and_by_a_new_key() -> None:
    now = 1000.0
    sessions = Sessions("key", clock=lambda: now)
    cookie = sessions.issue()
    assert sessions.valid(cookie)
    assert not Sessions("other", clock=lambda: now).valid(cookie)
    now += SESSION_SECONDS + 1
    assert not sessions.valid(cookie)


def test_a_changed_cookie_is_refused() -> None:
    sessions = Sessions("key", clock=lambda: 1000.0)
    end, mac = sessions.issue().split(".")
    for forged in (f"{int(end) + 1}.{mac}", f"{end}.{mac[:-1]}", f"{end}.", f".{mac}", "", "x", "²." + mac, f"{end}.é"):
        assert not sessions.valid(forged)


def test_headers_admit_by_bearer_or_cookie() -> None:
    sessions = Sessions("key")
    assert sessions.admits(Headers({"authorization": "Bearer key"}))
    assert sessions.admits(Headers({"authorization": "bearer  key"}))
    assert sessions.admits(Headers({"cookie": f"a=b; brain_session={sessions.issue()}"}))
    assert not sessions.admits(Headers({}))
    assert not sessions.admits(Headers({"authorization": "Basic key"}))
    assert not sessions.admits(
        Headers({"authorization": "Bearer wrong", "cookie": f"brain_session={sessions.issue()}"})
    )
    assert not sessions.admits(Headers({"cookie": "brain_session=1.2; brain_session"}))
