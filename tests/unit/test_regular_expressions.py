"""Patterns of RE2 in forked children: compiled again there, whatever a thread of the parent was doing."""

from __future__ import annotations

import os
import random
import threading

import pytest

from brain import redaction
from brain.regular_expressions import Pattern, re2
from support.forks import in_child

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def pattern(text: str) -> Pattern:
    options = re2.Options()
    options.log_errors = False
    return Pattern(text, options)


def test_a_child_has_what_it_compiled_itself_and_so_has_its_own() -> None:
    number = pattern(r"[0-9]+")
    search, before = number.search, number._regexp

    def in_this_process() -> tuple[bool, bool, bool]:
        found = search("a 12 b")[0], number.fullmatch("12") is not None
        return found == ("12", True), number._regexp is not before, number._regexp is number._regexp

    assert in_this_process() == (True, False, True)
    assert in_child(in_this_process) == (True, True, True)
    assert in_child(lambda: in_child(in_this_process)) == (True, True, True)
    assert number._regexp is before


def test_a_pattern_that_re2_refuses_is_refused() -> None:
    with pytest.raises(re2.error):
        pattern(r"(a")
    with pytest.raises(AttributeError):
        pattern("a").nothing  # noqa: B018


BEGUN = ("AKIA", "ghp_", "password", "token=", "Bearer ", "://", "eyJ", "4111 ", "sk-ant-", "xoxb-", "pypi-", "cookie:")


def odd_text() -> bytes:
    """One that takes the automaton of secrets to states that it has not made yet, behind its lock."""
    return "".join(f"{random.choice(BEGUN)}{os.urandom(4).hex()}" for _ in range(30)).encode()


def test_forks_beside_threads_that_look_for_secrets_hang_no_child() -> None:
    """With the parent's patterns five of nine children hung here."""
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            redaction.may_hold_secret(odd_text())

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(12):
            assert in_child(lambda: redaction.may_hold_secret(odd_text() + b" AKIA" + b"A" * 16)) is True
    finally:
        over.set()
        for thread in threads:
            thread.join()
