from __future__ import annotations

import pytest

from brain.errors import InvalidInput
from brain.times import parse_time

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
