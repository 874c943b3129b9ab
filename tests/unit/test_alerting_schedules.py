"""Business hours and rotations, through the nights on which clocks are put forward and back."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.alerting.schedules import Hours, Rotation

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # puts its clocks forward by half an hour
WEEK = frozenset(range(7))
ZONES = st.sampled_from([BERLIN, LORD_HOWE, ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")])
TIMES = st.floats(1.6e9, 1.9e9)
CLOCK = st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30]))


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def test_office_hours_are_what_the_clock_on_the_wall_shows() -> None:
    office = Hours(BERLIN, frozenset(range(5)), time(9), time(17), frozenset({date(2026, 12, 25)}))
    for day in ("2026-03-27", "2026-03-30", "2026-10-23", "2026-10-26"):  # Friday and Monday around both changes
        assert not office.open_at(at(f"{day}T08:59:59"))
        assert office.open_at(at(f"{day}T09:00"))
        assert office.open_at(at(f"{day}T16:59:59"))
        assert not office.open_at(at(f"{day}T17:00"))
    assert not office.open_at(at("2026-03-28T12:00"))  # Saturday
    assert not office.open_at(at("2026-12-25T12:00"))  # a Friday on which it is closed
    assert office.next_change(at("2026-03-27T17:00")) == at("2026-03-30T09:00")
    assert at("2026-03-30T09:00") - at("2026-03-27T17:00") == 63 * 3600  # an hour was left out


def test_night_hours_belong_to_the_day_they_begin_on() -> None:
    friday_night = Hours(BERLIN, frozenset({4}), time(22), time(6))
    assert friday_night.open_at(at("2026-03-27T23:00"))
    assert friday_night.open_at(at("2026-03-28T05:59"))
    assert not friday_night.open_at(at("2026-03-28T06:00"))
    assert not friday_night.open_at(at("2026-03-27T05:00"))
    night = Hours(BERLIN, WEEK, time(22), time(6))
    assert at("2026-03-29T06:00") - at("2026-03-28T22:00") == 7 * 3600
    assert night.next_change(at("2026-03-28T22:30")) == at("2026-03-29T06:00")
    assert at("2026-10-25T06:00") - at("2026-10-24T22:00") == 9 * 3600
    assert night.open_at(at("2026-10-25T02:30"))
    assert night.open_at(at("2026-10-25T02:30", fold=1))


def test_a_beginning_that_the_clock_skips_is_after_the_gap() -> None:
    early = Hours(BERLIN, WEEK, time(2, 30), time(5))
    skipped = at("2026-03-29T03:30")
    assert early.next_change(skipped - 60) == skipped
    assert early.open_at(skipped)
    assert not early.open_at(skipped - 1)


def test_hours_on_the_days_when_clocks_change_are_what_the_clock_shows() -> None:
    short = Hours(BERLIN, WEEK, time(2, 30), time(3, 15))  # the first half hour is left out
    assert not short.open_at(at("2026-03-29T01:59:59"))
    assert short.open_at(at("2026-03-29T03:00"))
    assert short.next_change(at("2026-03-29T01:00")) == at("2026-03-29T03:00")
    assert short.next_change(at("2026-03-29T03:00")) == at("2026-03-29T03:15")
    night = Hours(BERLIN, WEEK, time(22), time(2, 30))
    assert not night.open_at(at("2026-03-29T03:00"))  # the clock jumps over the end
    assert night.open_at(at("2026-10-25T02:15"))
    assert not night.open_at(at("2026-10-25T02:45"))
    assert night.open_at(at("2026-10-25T02:15", fold=1))  # it shows that once more
    assert not night.open_at(at("2026-10-25T02:30", fold=1))
    changes = [at("2026-10-25T01:00")]
    for _ in range(3):
        changes.append(night.next_change(changes[-1]) or 0.0)
    assert changes[1:] == [at("2026-10-25T02:30"), at("2026-10-25T02:00", fold=1), at("2026-10-25T02:30", fold=1)]


def test_hours_that_never_open_have_no_next_change() -> None:
    closed = frozenset(date(2026, 1, 1) + timedelta(days=day) for day in range(800))
    assert Hours(BERLIN, WEEK, time(9), time(17), closed).next_change(at("2026-06-01T00:00")) is None


def test_people_take_turns_at_the_same_hour_all_year() -> None:
    rotation = Rotation(BERLIN, ("ann", "ben", "cid"), datetime(2026, 3, 23, 9), 7)
    assert rotation.on_call(at("2026-03-23T09:00")) == "ann"
    assert rotation.on_call(at("2026-03-30T08:59:59")) == "ann"  # 167 hours and a second after: summer time began
    assert rotation.on_call(at("2026-03-30T09:00")) == "ben"
    assert rotation.on_call(at("2026-04-13T08:59")) == "cid"
    assert rotation.on_call(at("2026-04-13T09:00")) == "ann"
    assert rotation.on_call(at("2026-03-23T08:59")) == "cid"  # before the first turn
    assert rotation.next_change(at("2026-03-25T00:00")) == at("2026-03-30T09:00")
    assert rotation.next_change(at("2026-03-30T09:00")) == at("2026-04-06T09:00")


@given(zone=ZONES, now=TIMES, start=CLOCK, end=CLOCK, days=st.frozensets(st.integers(0, 6), min_size=1))
def test_nothing_changes_before_the_next_change(
    zone: ZoneInfo, now: float, start: time, end: time, days: frozenset[int]
) -> None:
    hours = Hours(zone, days, start, end)
    change = hours.next_change(now)
    assert change is not None
    assert change > now
    for part in (0.0, 0.3, 0.7, 0.999999):
        assert hours.open_at(now + (change - now) * part) is hours.open_at(now)


@given(zone=ZONES, now=TIMES, start=st.datetimes(datetime(2020, 1, 1), datetime(2027, 1, 1)), days=st.integers(1, 30))
def test_a_turn_lasts_until_its_end(zone: ZoneInfo, now: float, start: datetime, days: int) -> None:
    rotation = Rotation(zone, ("a", "b", "c"), start.replace(microsecond=0), days)
    end = rotation.next_change(now)
    assert now < end <= now + days * 86_400 + 7200
    assert rotation.on_call(now) == rotation.on_call(now + (end - now) * 0.999)
    assert rotation.on_call(end) != rotation.on_call(now)
    shown = datetime.fromtimestamp(end, zone)
    assert (shown.hour, shown.minute) == (start.hour, start.minute) or shown.utcoffset() != (
        shown - timedelta(hours=3)
    ).astimezone(zone).utcoffset()


@pytest.mark.parametrize("fold", [0, 1])
def test_both_times_that_the_clock_shows_twice_belong_to_one_turn(fold: int) -> None:
    rotation = Rotation(BERLIN, ("ann", "ben"), datetime(2026, 10, 24, 2, 30), 1)
    assert rotation.on_call(at("2026-10-25T02:30", fold=fold)) == "ben"
