"""A page in the form of each service: what is shown of it, and what stays the same when it is sent again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from brain.charter import Severity
from brain.connectors.email import mail_of
from brain.connectors.pagerduty import pagerduty_alert
from brain.connectors.pages import PAGING, Page, PageAction, TimelineStep
from brain.connectors.slack import slack_message

DECISION: dict[str, Any] = {
    "event_id": "evt_policy_1_aa",
    "agent": "a1",
    "action": "delete",
    "resource": "db",
    "effect": "DENY",
    "reason": "guests",
    "proof": {"index": 4, "tree_size": 9, "root": "00", "leaf_hash": "11"},
}
PAGE = Page(
    id="soc-notice-1-1703001244",
    action=PageAction.TRIGGER,
    dedup_key="thr_1",
    severity=Severity.CRITICAL,
    summary="scan from 203.0.113.77",
    at=1_703_001_244.0,
    route="urgent",
    alerts=[
        {
            "name": "scan",
            "severity": "CRITICAL",
            "state": "firing",
            "summary": "scan from 203.0.113.77",
            "labels": {"agent": "203.0.113.77"},
            "first_at": 1_703_001_234.0,
        }
    ],
    alerts_total=1,
    links=[("Threat thr_1", "https://brain.example/#/threats?timeline=thr_1")],
    decisions=[DECISION, {**DECISION, "proof": None}],
    timeline=[TimelineStep(1_703_001_234.0, "threat.detected", "CRITICAL scan", "evt_threats_1_bb")],
)


def test_a_person_reads_what_happened_and_where_the_proof_is() -> None:
    text = PAGE.text_with_links()
    assert text.startswith("scan from 203.0.113.77\n\nCRITICAL firing: scan from 203.0.113.77")
    assert "DENY: a1 delete db: guests (event evt_policy_1_aa, entry 4 of 9 in the audit log)" in text
    assert "(event evt_policy_1_aa, not in the audit log yet)" in text
    assert "2023-12-19 15:53:54Z CRITICAL scan" in text
    assert text.endswith("Threat thr_1: https://brain.example/#/threats?timeline=thr_1")


def test_the_document_is_json_and_has_everything() -> None:
    document = msgspec.json.decode(msgspec.json.encode(PAGE.document()))
    assert (document["type"], document["action"], document["severity"]) == ("alert.page", "trigger", "CRITICAL")
    assert document["links"] == [{"text": "Threat thr_1", "url": "https://brain.example/#/threats?timeline=thr_1"}]
    assert document["timeline"][0]["kind"] == "threat.detected"
    assert document["decisions"][0]["proof"]["index"] == 4


def test_pagerduty_names_the_alert_by_the_dedup_key() -> None:
    alert = pagerduty_alert(PAGE)
    assert (alert.dedup_key, alert.source, alert.kind, alert.group) == ("thr_1", "203.0.113.77", "scan", "urgent")
    assert alert.timestamp == 1_703_001_234.0
    assert alert.client_url == "https://brain.example/#/threats?timeline=thr_1"
    assert set(alert.details) == {"route", "alerts", "alerts_total", "decisions", "timeline"}


@pytest.mark.parametrize("action", PageAction)
def test_only_a_page_that_asks_for_a_person_shows_its_severity(action: PageAction) -> None:
    page = replace(PAGE, action=action)
    assert bool(slack_message(page).severity) is (action in PAGING) is action.is_paging
    assert mail_of(page, ["ann@example.com"]).subject.startswith("[CRITICAL] ") is action.is_paging


def test_mails_about_one_thing_make_a_thread_and_a_repeated_one_is_the_same() -> None:
    first, end = mail_of(PAGE, ["a@b"]), mail_of(replace(PAGE, id="another", action=PageAction.RESOLVE), ["a@b"])
    assert first.thread == end.thread == "thr_1"
    assert first.dedup == PAGE.id != end.dedup
    assert end.subject == "resolved: scan from 203.0.113.77"


def test_a_page_about_held_back_pages_needs_no_alert() -> None:
    page = replace(
        PAGE, alerts=[], alerts_total=0, held_back=["one", "two"], held_back_total=2, decisions=(), timeline=()
    )
    assert page.text() == "held back: one\nheld back: two"
    assert pagerduty_alert(page).source == "brain"
    assert slack_message(page).fields == {"Route": "urgent"}
