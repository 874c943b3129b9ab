"""Arguments that cannot be meant are refused where they are given, by a sentence that names them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from brain import DeliveryOptions, Event, EventStream, ImmuneService, PolicyEngine, ThreatService, threats
from brain.errors import EnvelopeError, InvalidInput, Unavailable
from brain.store import open_store
from brain.testing import RecordingStream


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda stream: stream.read_sync(limit=0), "limit: 0 is too small; use 1 or more"),
        (lambda stream: stream.subscribe("*", group="g", max_attempts=0), "max_attempts: 0 is too small"),
        (lambda stream: stream.consumer("g", "*", None), "handler of group 'g': None cannot be called"),
        (
            lambda stream: EventStream.open("memory://", lease=0),
            "lease: 0 is not .*; use 0.05 to 86400",
        ),
        (lambda stream: EventStream.open("memory://", lease="5"), "lease: '5' is not a number of seconds"),
        (
            lambda stream: EventStream.open("memory://", exit_timeout=nan),
            "exit_timeout: nan is not",
        ),
        (lambda stream: EventStream.open_sync(Path("brain.db")), r"stream URL: PosixPath\('brain.db'\) is no text"),
        (lambda stream: open_store(None), "store URL: None is no text; write it as 'sqlite:///brain.db'"),
        (lambda stream: DeliveryOptions(concurrency=0), "concurrency: 0 is too small"),
        (lambda stream: DeliveryOptions(batch=True), "batch: True is no whole number"),
        (lambda stream: DeliveryOptions(timeout=0), "timeout: 0 is not a number of seconds"),
        (lambda stream: DeliveryOptions(grace=-1), "grace: -1 is not a number of seconds"),
        (lambda stream: DeliveryOptions(start="yesterday"), "position: 'yesterday' is not a position"),
        (lambda stream: PolicyEngine().approvals.list(limit=0), "limit: 0 is too small"),
    ],
)
def test_what_cannot_be_meant_is_refused(call: Callable[[EventStream], Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call(RecordingStream())


def test_what_can_be_meant_is_taken() -> None:
    assert DeliveryOptions(timeout=inf, grace=0, retry_delay=0, start="17").start == "17"


def test_a_journal_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(Unavailable, match=r"journal in .*file: cannot be made .*`journal=`"):
        EventStream.open_sync(f"sqlite:///{tmp_path / 'brain.db'}", journal=tmp_path / "file")


def test_an_opening_says_that_it_is_no_stream_yet() -> None:
    with pytest.raises(AttributeError, match=r"no stream yet, and has no 'publish': write `await EventStream\.open"):
        EventStream.open("memory://").publish  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("timestamp", nan, "timestamp: nan is not a time in Unix seconds"),
        ("timestamp", inf, "timestamp: inf is not a time"),
        ("timestamp", "now", "timestamp: 'now' is not a time"),
        ("meta", None, "meta: must be an object, not NoneType"),
        ("meta", 5, "meta: must be an object, not int"),
        ("meta", ["version", "correlation_id"], "meta: must be an object, not list"),
        ("meta", {"correlation_id": 5}, "meta: correlation_id must be a string or null, not int"),
        ("meta", {"correlation_id": [], "version": "1.0"}, "meta: correlation_id must be a string or null, not list"),
        ("type", ["a.b"], r"type: \['a.b'\] is not of the form"),
        ("source", {}, "source: {} is not of the form"),
    ],
)
def test_what_is_wrong_with_an_event_is_named(field: str, value: object, message: str) -> None:
    fields: dict[str, Any] = {"type": "order.placed", "source": "shop_service", "payload": {}, field: value}
    with pytest.raises(EnvelopeError, match=message):
        Event(**fields)


@pytest.mark.parametrize("use", [PolicyEngine, ThreatService, ImmuneService, threats.set_event_stream])
def test_what_nobody_can_publish_to_is_no_stream(use: Callable[[Any], object]) -> None:
    """Forgetting the `await` before `EventStream.open` would leave every event to a line in the log."""
    with pytest.raises(InvalidInput, match=r"event_stream: Opening has no `publish`; give what `await EventStream"):
        use(EventStream.open("memory://"))
    with pytest.raises(InvalidInput, match="event_stream: 'memory://' is a text"):
        use("memory://")


@pytest.mark.parametrize("hand_on", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_stream_is_not_handed_to_another_process(hand_on: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"<RecordingStream memory://, open> cannot be pickled or copied.*open it in"):
        hand_on(RecordingStream())


async def test_a_stream_shows_its_place_and_whether_it_is_open() -> None:
    async with EventStream.open("memory://") as stream:
        assert repr(stream) == "<EventStream memory://, open>"
    assert repr(stream) == "<EventStream memory://, closed>"
