"""What is sent to PagerDuty: its limits are kept whatever comes, and its stand-in takes all of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.charter import HealthSeverity, Severity
from brain.connectors.pagerduty import (
    BODY_BYTES,
    PagerDutyAlert,
    PagerDutyLink,
    enqueue,
    follow_up_event,
    severity_of,
    trigger_event,
)
from brain.demo.stand_ins import pagerduty as stand_in
from brain.errors import InvalidInput
from brain.secret import Secret
from support.vendors import pagerduty_settings

SETTINGS = pagerduty_settings("http://127.0.0.1:1", client_url="https://brain.example/")
texts = st.text(max_size=2000)
details = st.dictionaries(st.text(max_size=50), st.one_of(st.text(), st.integers(), st.lists(st.text())), max_size=8)


def sent(alert: PagerDutyAlert) -> dict[str, Any]:
    body = enqueue(SETTINGS, trigger_event(SETTINGS, alert)).body
    assert len(body) <= BODY_BYTES
    event: dict[str, Any] = msgspec.json.decode(body)
    assert stand_in.faults_of(event) == []
    return event


@settings(max_examples=50)
@given(
    dedup_key=st.text(min_size=1, max_size=600),
    summary=texts,
    source=texts,
    severity=texts,
    component=texts,
    details=details,
    href=st.text(min_size=1, max_size=3000),
)
def test_whatever_comes_is_acceptable(
    dedup_key: str, summary: str, source: str, severity: str, component: str, details: dict[str, Any], href: str
) -> None:
    sent(
        PagerDutyAlert(
            dedup_key=dedup_key,
            summary=summary,
            source=source,
            severity=severity,
            component=component,
            details=details,
            links=[PagerDutyLink(href=href)] * 60,
        )
    )


def test_every_field_arrives() -> None:
    event = sent(
        PagerDutyAlert(
            dedup_key="thr_1",
            summary="80 failed passwords",
            source="203.0.113.77",
            severity="HIGH",
            timestamp=1703001234.567,
            component="sshd",
            group="edge",
            kind="ssh_brute_force",
            details={"failed_passwords": 80},
            links=[PagerDutyLink(href="https://brain.example/threats/thr_1", text="The threat")],
        )
    )
    assert event == {
        "routing_key": "R" * 32,
        "event_action": "trigger",
        "dedup_key": "thr_1",
        "payload": {
            "summary": "80 failed passwords",
            "source": "203.0.113.77",
            "severity": "error",
            "timestamp": "2023-12-19T15:53:54.567+00:00",
            "component": "sshd",
            "group": "edge",
            "class": "ssh_brute_force",
            "custom_details": {"failed_passwords": 80},
        },
        "client": "BRAiN EventStream",
        "client_url": "https://brain.example/",
        "links": [{"href": "https://brain.example/threats/thr_1", "text": "The threat"}],
    }


@pytest.mark.parametrize(
    "details",
    [
        {"one": "ü" * 600_000, "small": "kept"},
        {f"d{n}": "x" * 20_000 for n in range(100)} | {"small": "kept"},
        {"nested": [{"a": ["x" * 100] * 100}] * 100, "small": "kept"},
    ],
)
def test_too_much_is_cut_and_says_so(details: dict[str, Any]) -> None:
    event = sent(PagerDutyAlert(dedup_key="k", summary="s", source="x", severity="LOW", details=details))
    found = event["payload"]["custom_details"]
    assert "cut to fit" in found["cut"]
    assert found["small"] == "kept"
    assert found.keys() == {"cut", *details}


def test_too_many_details_are_left_out_and_that_is_said() -> None:
    details = {f"a long name of a detail {n}": n for n in range(30_000)}
    event = sent(PagerDutyAlert(dedup_key="k", summary="s", source="x", severity="LOW", details=details))
    assert event["payload"]["custom_details"] == {"cut": "all 30000 details left out to fit 512,000 bytes"}


def test_long_keys_stay_apart_and_a_follow_up_has_the_same() -> None:
    one, other = "k" * 300 + "1", "k" * 300 + "2"
    keys = [follow_up_event(SETTINGS, "resolve", key)["dedup_key"] for key in (one, other, one)]
    assert keys[0] == keys[2] != keys[1]
    assert {len(key) for key in keys} == {255}
    assert sent(PagerDutyAlert(dedup_key=one, summary="", source="", severity=""))["dedup_key"] == keys[0]


def test_every_severity_of_ours_has_one_of_theirs() -> None:
    ours = {severity.value: severity_of(severity) for severity in (*Severity, *HealthSeverity)}
    assert ours == {
        "LOW": "info",
        "MEDIUM": "warning",
        "HIGH": "error",
        "CRITICAL": "critical",
        "INFO": "info",
        "WARNING": "warning",
    }
    assert severity_of("unheard of") == "error"


def test_what_could_never_be_resolved_or_accepted_is_refused_here() -> None:
    with pytest.raises(InvalidInput, match="dedup_key"):
        follow_up_event(SETTINGS, "resolve", "")
    short = SETTINGS.model_copy(update={"routing_key": Secret("s3cret")})
    with pytest.raises(InvalidInput, match="6 characters") as caught:
        follow_up_event(short, "resolve", "k")
    assert "s3cret" not in str(caught.value)
