"""A pattern that matches no declared event type is said to, with the nearest that does."""

from __future__ import annotations

import pytest

from brain.kit.event_patterns import unmatched_note


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("threats.*", "did you mean threat.*?"),
        ("policy.action_denid", "did you mean policy.action_denied?"),
        ("policy.denied", "did you mean policy.action_denied?"),
        ("imune.*", "did you mean immune.*?"),
        ("zzz", "brain events catalogue lists them"),
    ],
)
def test_the_nearest_is_named(pattern: str, meant: str) -> None:
    assert unmatched_note(["threat.*", pattern]) == f"no declared event type matches {pattern!r}; {meant}"


@pytest.mark.parametrize("pattern", ["*", "threat.*", "*.event_published", "policy.action_denied", "*_denied"])
def test_what_matches_needs_no_word(pattern: str) -> None:
    assert unmatched_note([pattern]) is None
