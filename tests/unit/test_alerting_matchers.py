from __future__ import annotations

import pytest

from brain.alerting.matchers import MATCHER_CHARACTERS, parse_matcher, parse_matchers
from brain.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "fits", "not_fits"),
    [
        ("agent=billing", {"agent": "billing"}, {"agent": "billing2"}),
        ("agent != billing", {}, {"agent": "billing"}),
        ("agent=~bill.*", {"agent": "billing"}, {"agent": "a bill"}),
        ("agent!~a|b", {"agent": "ab"}, {"agent": "b"}),
        ('reason="a = b"', {"reason": "a = b"}, {"reason": '"a = b"'}),
        ("tag.team=", {}, {"tag.team": "x"}),
        ("text=two\nlines", {"text": "two\nlines"}, {"text": "two"}),
    ],
)
def test_a_matcher_says_what_it_means(text: str, fits: dict[str, str], not_fits: dict[str, str]) -> None:
    matcher = parse_matcher(text)
    assert matcher.matches(fits)
    assert not matcher.matches(not_fits)
    assert parse_matcher(str(matcher)) == matcher


def test_every_fault_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_matchers(["agent", "a=~(", "ok=1"])
    assert len(caught.value.faults) == 2
    assert "label=value" in caught.value.faults[0]
    assert "RE2" in caught.value.faults[1]


@pytest.mark.parametrize("texts", [[], ["agent=~.*"], ["agent!=x", "kind!~a"]])
def test_matchers_that_fit_every_alert_are_no_silence(texts: list[str]) -> None:
    with pytest.raises(InvalidInput, match="every alert"):
        parse_matchers(texts, some=True)


@pytest.mark.parametrize("value", ["~a", "~.", "~(", " a ", '"a"', '"', '~"', "", "a b", "\x85", "=~a"])
@pytest.mark.parametrize("operator", ["=", "!="])
def test_a_matcher_is_read_again_as_it_was(operator: str, value: str) -> None:
    """A stored silence is: `agent="~."` is no pattern that fits all agents."""
    made = parse_matcher(f'agent{operator}"{value}"')
    assert (made.operator, made.value) == (operator, value)
    assert parse_matcher(str(made)) == made


def test_a_matcher_whose_kept_form_is_too_long_is_refused() -> None:
    """Else a silence could be added that nobody can read, list or remove."""
    short, long = ("agent= ~" + "x" * (length - 8) for length in (MATCHER_CHARACTERS - 1, MATCHER_CHARACTERS))
    assert len(str(parse_matcher(short))) == MATCHER_CHARACTERS
    with pytest.raises(InvalidInput, match="at most"):
        parse_matcher(long)
