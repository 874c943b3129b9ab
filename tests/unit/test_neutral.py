"""Hostile texts through every kind of output: nothing in them acts where they are shown."""

# ruff: noqa: E501, PT018

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table

from brain import logs
from brain.audit.cef import cef
from brain.audit.export import write_csv, write_jsonl
from brain.audit.models import AuditEntry
from brain.charter import Event
from brain.connectors import email, servicenow, slack
from brain.connectors.adf import text_to_adf
from brain.connectors.tickets import NewTicket
from brain.kit.cli.common import print_json, print_json_array
from brain.kit.cli.tables import cell
from brain.kit.cli.text import printable, summary
from brain.text import one_line, one_line_units

ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff]")
HOSTILE = (
    "\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;https://evil.example\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x7f", "\0", "\r", "\b" * 9, "\x85",
    "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\u2028", "\ufeff", "\U000e0041",
    "=cmd|' /C calc'!A0", "+1+1", "-1+1", "@SUM(A1)", "\t=1", " =1", "\uff1d1",
    "a|b", "a=b", "\\", "\\|", "\r\n", "\n", "CEF:0|x|y", "rt=1 act=2",
    "<!channel>", "<@U1>", "<https://evil.example|bank>", "&lt;", "@here", "<script>alert(1)</script>", "<img src=x onerror=y>",
    "[code]<b>x</b>[/code]", "[ CODE ]<i>", "[/code]", "[[code]code]", "[red]bold[/red]", "{title}", '"', "'", ",", "Bcc: x@y.example", "word",
)  # fmt: skip
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
    """CSV has no formulas, CEF is one line of eight fields, and JSON says the same with nothing in it that acts."""
    out = io.BytesIO()
    write_csv([entry], out)
    shown = out.getvalue().decode()
    assert ACTS.search(shown.replace("\r\n", "\n")) is None
    for value in next(row for row in csv.reader(io.StringIO(shown, newline="")) if row[0] == "0"):
        assert not value.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    line = cef(entry)
    assert ACTS.search(line) is None and "\n" not in line
    assert len(re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)) == 8
    names = re.findall(r"(?:^| )(\w+)=", line.split("|", 7)[-1])
    assert len(names) == len(set(names)), "no text adds a field"
    out = io.BytesIO()
    write_jsonl([entry], out)
    assert ACTS.search(out.getvalue().decode().rstrip("\n")) is None
    assert msgspec.json.decode(out.getvalue())["event"]["payload"]["reason"] == text


def check_messages(text: str) -> None:
    """Slack, mail, ServiceNow and Jira."""
    message = slack.content(slack.SlackMessage(title=text, text=text, fields={text: text}, footer=text))
    for kind, shown in _texts(message):
        assert ACTS.search(shown) is None
        assert kind == "plain_text" or not re.search("[<>]|&(?!amp;|lt;|gt;)", shown)
    sender = email.EmailSettings(kind="email", host="h", sender="a@b.example", to=("c@d.example",))
    mail = email.compose(sender, email.Mail(to=["c@d.example"], subject=text, text=text, dedup="d"), 1.0)
    assert mail.get_content_type() == "text/plain" and mail["Bcc"] is None
    assert ACTS.search(str(mail["Subject"])) is None and ACTS.search(mail.get_content()) is None
    ticket = NewTicket(incident_id="i", title=text, description=text)
    settings = servicenow.ServiceNowSettings(url="https://x.example", token="t", fields={"category": "{title}"})  # type: ignore[arg-type]
    for value in servicenow.new_record(settings, ticket).values():
        assert "[code]" not in value.lower() and "[/code]" not in value.lower() and ACTS.search(value) is None
    assert ACTS.search(json.dumps(text_to_adf(text), ensure_ascii=False).replace("\\n", "")) is None


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
