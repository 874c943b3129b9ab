from __future__ import annotations

import pytest

from brain.errors import InvalidInput
from brain.times import AHEAD, LONGEST, check_not_ahead, parse_time, plausible

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90),
        ("15m", NOW - 900),
        ("1h", NOW - 3600),
        ("1.5h", NOW - 5400),
        ("7d", NOW - 7 * 86400),
        ("2w", NOW - 14 * 86400),
        ("1703001234.5", 1703001234.5),
        ("0", 0.0),
        ("2024-12-28T09:30:00Z", 1735378200.0),
        ("2024-12-28T10:30:00+01:00", 1735378200.0),
        ("2024-12-28 09:30", 1735378200.0),
        (" 2024-12-28 ", 1735344000.0),
    ],
)
def test_what_people_write(text: str, expected: float) -> None:
    assert parse_time(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "-1", "1y", "h", "1e99", "99999999d", "nan", "2024-13-01", "9" * 400]
)
def test_anything_else_is_refused_with_the_parameters_name(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^since: .*1h"):
        parse_time(text, NOW, "since")


@pytest.mark.parametrize("text", ["1703001234567", "100000000000", "1703001234567.5"])
def test_milliseconds_are_named_as_such(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^since: \S+ looks like milliseconds; write Unix seconds, \d+\.\d{3}$"):
        parse_time(text, NOW, "since")


@pytest.mark.parametrize(
    ("at", "expected"),
    [(NOW - 5, NOW - 5), (NOW, NOW), (NOW + 1, NOW), (5.0, NOW), (NOW * 1000, NOW), (NOW - LONGEST, NOW - LONGEST)],
)
def test_a_time_that_cannot_be_is_of_now(at: float, expected: float) -> None:
    assert plausible(at, NOW) == expected


def test_what_has_happened_lies_no_further_ahead_than_clocks_differ() -> None:
    assert check_not_ahead(NOW + AHEAD, NOW, "at") == NOW + AHEAD
    with pytest.raises(InvalidInput, match=r"^at: lies 301 s ahead"):
        check_not_ahead(NOW + AHEAD + 1, NOW, "at")
