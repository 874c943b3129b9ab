"""Hostile texts through every kind of output: nothing in them acts where they are shown."""

# ruff: noqa: E501, PT018

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from rich.console import Console
from rich.table import Table

import brain
from brain import logs
from brain.audit.cef import cef
from brain.audit.export import row, write_csv, write_jsonl, write_ocsf, write_parquet
from brain.audit.models import AuditEntry
from brain.charter import Event, IncidentState, Severity
from brain.connectors import apprise, email, jira, pagerduty, servicenow, slack, webhook
from brain.connectors.notifiers import NOTIFIERS
from brain.connectors.pages import Page, PageAction, TimelineStep
from brain.connectors.sender import Sender, json_request
from brain.connectors.tickets import TICKET_SYSTEMS, NewTicket
from brain.kit.cli.common import print_json, print_json_array
from brain.kit.cli.tables import cell
from brain.kit.cli.text import print_text, printable, summary
from brain.links.alertmanager import Alertmanager
from brain.links.settings import AlertmanagerSettings
from brain.telemetry.recording import Recorder
from brain.text import one_line, one_line_units
from support.hostile import ACTS, HOSTILE

SOURCE = Path(brain.__file__).parent
texts = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=5)), min_size=1, max_size=5).map("".join)


@settings(max_examples=100)
@given(text=texts)
def test_hostile_texts_do_nothing_in_any_output(text: str) -> None:
    check_all(text)


@pytest.mark.long
@settings(max_examples=10_000)
@given(text=texts)
def test_ten_thousand_hostile_texts(text: str) -> None:
    check_all(text)


def check_all(text: str) -> None:
    """Put the text through each output, and look at what comes out."""
    text = text.encode(errors="replace").decode()
    event = Event(
        type="policy.action_denied", source="policy_service", payload={"reason": text, "agent_id": text, text: 1}
    )
    entry = AuditEntry(
        index=0, leaf_hash=b"\1" * 32, appended_at=1.0, type=text or "x", event_id=event.id, at=1.0,
        agent=text, threat=text, correlation_id=text, data=event.encode(),
    )  # fmt: skip
    check_exports(entry, text)
    check_messages(text)
    for line in (*terminal_lines(text), one_line(text, 500), one_line_units(text, 500)):
        assert ACTS.search(line) is None


def check_exports(entry: AuditEntry, text: str) -> None:
    """CSV has no formulas, CEF is one line of eight fields, and JSON says the same with nothing in it that acts.

    Parquet, which programs read, keeps each text as it is in a column of texts: no row or column comes of it.
    """
    out = io.BytesIO()
    write_csv([entry], out)
    shown = out.getvalue().decode()
    assert ACTS.search(shown.replace("\r\n", "\n")) is None
    for value in next(one for one in csv.reader(io.StringIO(shown, newline="")) if one[0] == "0"):
        assert not value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    line = cef(entry)
    assert ACTS.search(line) is None and "\n" not in line
    *header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)
    assert len(header) == 7
    names = re.findall(r"(?:^| )(\w+)=", extension)
    assert len(names) == len(set(names)), "no text adds a field"
    out = io.BytesIO()
    write_jsonl([entry], out)
    assert ACTS.search(out.getvalue().decode().rstrip("\n")) is None
    assert msgspec.json.decode(out.getvalue())["event"]["payload"]["reason"] == text
    out = io.BytesIO()
    write_ocsf([entry], out)
    assert ACTS.search(out.getvalue().decode().rstrip("\n")) is None
    assert msgspec.json.decode(out.getvalue())["message"] == text
    out = io.BytesIO()
    write_parquet([entry], out)
    assert pq.read_table(io.BytesIO(out.getvalue())).to_pylist() == [row(entry)]
    check_recording(text)


def check_recording(text: str) -> None:
    """A recording in MCAP says the same in JSON with nothing in it that acts."""
    path = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()) / f"brain-{os.getpid()}.mcap"
    path.unlink(missing_ok=True)
    try:
        with Recorder(path) as recorder:
            recorder.add("rover", {"seq": 1, "t": 1.0, "values": {text: 1.5}})
        with path.open("rb") as file:
            ((_, _, message),) = make_reader(file).iter_messages()
    finally:
        path.unlink()
    assert ACTS.search(message.data.decode()) is None
    assert msgspec.json.decode(message.data)["values"] == {text: 1.5}


def check_messages(text: str) -> None:
    """What each kind of notifier and each ticket system would send: it tells of the text, and nothing in it acts."""
    page = Page(
        id="p1", action=PageAction.TRIGGER, dedup_key=text or "d", severity=Severity.HIGH, summary=text, at=1.0, route=text,
        labels={"agent": text}, alerts=[{"name": text, "severity": text, "state": text, "summary": text, "labels": {"agent": text}}],
        alerts_total=1, held_back=[text], held_back_total=1, links=[(text, "https://brain.example/#/alerts")],
        decisions=[{"effect": text, "agent": text, "action": text, "resource": text, "reason": text, "event_id": "e", text: 1}],
        timeline=[TimelineStep(at=1.0, kind=text, text=text, event_id=None)],
    )  # fmt: skip
    for kind in SENT.values():
        for sent in kind(page):
            assert ACTS.search(sent) is None
    ticket = NewTicket(incident_id="i", title=text, description=text, severity=text, labels=[text])
    for system in MADE.values():
        for sent in system(ticket, text):
            assert ACTS.search(sent) is None


def sent_by_slack(page: Page) -> Iterator[str]:
    message = slack.content(slack.slack_message(page))
    for kind, shown in _texts(message):
        marks = re.sub(r"<https://brain\.example/#/alerts\|[^<>]*>", "", shown)
        assert kind == "plain_text" or not re.search("[<>]|&(?!amp;|lt;|gt;)", marks)
        yield shown


def sent_by_email(page: Page) -> Iterator[str]:
    sender = email.EmailSettings(kind="email", host="h", sender="a@b.example", to=("c@d.example",))
    mail = email.compose(sender, email.mail_of(page, ["c@d.example"]), 1.0)
    assert mail.get_content_type() == "text/plain" and mail["Bcc"] is None
    yield str(mail["Subject"])
    yield mail.get_content()


def sent_by_pagerduty(page: Page) -> Iterator[str]:
    settings = pagerduty.PagerDutySettings(kind="pagerduty", routing_key="k" * 32)  # type: ignore[arg-type]
    event = pagerduty.trigger_event(settings, pagerduty.pagerduty_alert(page))
    yield from strings({**event, "dedup_key": ""})  # which names the alert, and is not made another
    yield pagerduty.enqueue(settings, event).body.decode()


def sent_by_webhook(page: Page) -> Iterator[str]:
    """A program reads it: the texts are the same, and what a person sees of it on the way does nothing."""
    settings = webhook.WebhookSettings(kind="webhook", url="https://x.example", key="k" * 24)  # type: ignore[arg-type]
    body = webhook.signed_request(settings, "p1", page.document(), 1.0).body
    assert msgspec.json.decode(body)["summary"] == page.summary
    yield body.decode()


def sent_by_apprise(page: Page) -> Iterator[str]:
    shown = apprise.shown(page.title, page.text_with_links())
    assert shown["body_format"] == "text", "apprise escapes it for services with markup"
    for said in (shown["title"], shown["body"]):
        assert not re.search(r"@\S|<\S|\]\(", said), "nobody is called, and no words stand for a link"
        yield said


def sent_by_alertmanager(page: Page) -> Iterator[str]:
    settings = AlertmanagerSettings(kind="alertmanager", url="https://x.example")
    alert = Alertmanager(settings, Sender()).alert(page)
    yield from alert["annotations"].values()
    yield json_request("POST", settings.url, [alert]).body.decode()


SENT: dict[str, Callable[[Page], Iterator[str]]] = {
    "alertmanager": sent_by_alertmanager, "apprise": sent_by_apprise, "email": sent_by_email,
    "pagerduty": sent_by_pagerduty, "slack": sent_by_slack, "webhook": sent_by_webhook,
}  # fmt: skip


def sent_to_jira(ticket: NewTicket, text: str) -> Iterator[str]:
    settings = jira.JiraSettings(
        url="https://x.example", user="u", token="t", project="PROJ", fields={"customfield_1": "{title}"}
    )  # type: ignore[arg-type]
    for request in (jira.create_request(settings, ticket), jira.comment_request(settings, "1", text)):
        yield request.body.decode()
        for _, shown in _texts(msgspec.json.decode(request.body)):
            yield shown
    yield jira.create_fields(settings, ticket)["customfield_1"]


def sent_to_servicenow(ticket: NewTicket, text: str) -> Iterator[str]:
    settings = servicenow.ServiceNowSettings(url="https://x.example", token="t", fields={"category": "{title}"})  # type: ignore[arg-type]
    closed = servicenow.state_changes(settings, IncidentState.CLOSED, text)
    for value in (*servicenow.new_record(settings, ticket).values(), *closed.values()):
        assert "[code]" not in value.lower() and "[/code]" not in value.lower()
        yield value


MADE: dict[str, Callable[[NewTicket, str], Iterator[str]]] = {"jira": sent_to_jira, "servicenow": sent_to_servicenow}


def test_every_kind_of_message_is_looked_at() -> None:
    assert SENT.keys() == {*NOTIFIERS.kinds(), "alertmanager"}, "say here what a new kind of notifier sends"
    assert MADE.keys() == set(TICKET_SYSTEMS.kinds()), "say here what a new ticket system is sent"


def strings(value: Any) -> Iterator[str]:
    """Every text and name in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def _texts(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if isinstance(value.get("text"), str):
            yield value.get("type", ""), value["text"]
        for member in value.values():
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)


def terminal_lines(text: str) -> Iterator[str]:
    """What commands and logs print of it."""
    yield printable(text)
    yield summary({"a": text, text: "b"})
    console = Console(file=io.StringIO(), width=200, markup=False)
    table = Table("name")
    table.add_row(cell(text))
    console.print(table)
    yield console.file.getvalue().replace("\n", "")  # type: ignore[attr-defined]
    record = logging.LogRecord("brain", logging.ERROR, "", 0, text.replace("%", "%%"), None, None)
    yield logs._JSONLines().format(record)
    yield logs._ConsoleLines(colours=False).format(record).replace("\n", "")


def test_commands_print_json_that_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    text = "".join(HOSTILE)
    print_json({"text": text})
    print_json_array([{"text": text}])
    lines = capsys.readouterr().out
    assert ACTS.search(lines.replace("\n", "")) is None
    first, _, second = lines.partition("}\n")
    assert json.loads(first + "}") == {"text": text} and json.loads(second) == [{"text": text}]


@pytest.mark.parametrize("err", [False, True])
def test_commands_print_texts_of_others_as_escapes(err: bool, capsys: pytest.CaptureFixture[str]) -> None:
    print_text("".join(HOSTILE) + "\tä\n€", err=err)
    printed = capsys.readouterr()
    shown = printed.err if err else printed.out
    assert ACTS.search(shown) is None
    assert shown.endswith("\tä\n€\n")


def test_no_command_prints_past_it() -> None:
    """So that a new command need not think of it."""
    past = {
        f"{path.relative_to(SOURCE)}:{text.count(chr(10), 0, found.start()) + 1}"
        for path in SOURCE.rglob("*.py")
        for text in [path.read_text()]
        for found in re.finditer(r"(?<![\w.])(?:typer|click)\.echo\(", text)
    }
    assert {place.partition(":")[0] for place in past} == {"cli/__init__.py", "kit/cli/text.py"}, past
