"""What each service takes at most, counted as it counts, with the page that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from brain.connectors import email, jira, pagerduty, servicenow, slack
from brain.connectors.adf import text_to_adf
from brain.connectors.tickets import NewTicket
from brain.text import clip_units, short_key_units, utf16_units
from support.vendors import jira_settings, pagerduty_settings, servicenow_settings

URL = "https://stand-in.example"
TEXTS = ["x" * 40_000, "é" * 40_000, "漢" * 40_000, "😀" * 40_000, "a😀" * 20_000, "&<>" * 20_000, "e\u0301" * 20_000]


def octets(text: str) -> int:
    return len(text.encode())


def in_mail(text: str) -> int:
    """Octets of the longest line of a header."""
    return max(len(line) for line in text.encode().splitlines())


class Limit(NamedTuple):
    """A limit of one field, the unit it is counted in, and its source."""

    most: int
    counted: Callable[[str], int]
    source: str
    sent: Callable[[str], Iterator[str]]


def ticket(text: str) -> NewTicket:
    return NewTicket(incident_id=text, title=text, description=text, labels=[text])


def issue(text: str) -> dict[str, Any]:
    return jira.create_fields(jira_settings(URL), ticket(text))


def record(text: str) -> dict[str, str]:
    return servicenow.new_record(servicenow_settings(URL), ticket(text))


def document(text: str) -> Iterator[str]:
    def texts(node: Any) -> Iterator[str]:
        yield from (
            [node["text"]] if "text" in node else [one for child in node.get("content", ()) for one in texts(child)]
        )

    yield "".join(texts(text_to_adf(text)))


def event(text: str) -> dict[str, Any]:
    alert = pagerduty.PagerDutyAlert(
        dedup_key=text,
        summary=text,
        source=text,
        severity="HIGH",
        component=text,
        details={"a": text, "b": [text] * 9},
    )
    return pagerduty.trigger_event(pagerduty_settings(URL), alert)


def message(text: str) -> dict[str, Any]:
    fields = {f"{n} {text}": text for n in range(20)}
    links = [(f"https://x.example/{n}", text) for n in range(20)]
    return slack.content(slack.SlackMessage(title=text, text=text, fields=fields, links=links, footer=text))


def blocks(text: str, kind: str) -> Iterator[str]:
    for block in message(text)["blocks"]:
        if block["type"] == kind:
            yield from [block["text"]["text"]] if "text" in block else []
            yield from [element["text"] for element in block.get("elements", ())]


def fields_of(text: str) -> Iterator[str]:
    yield from (one["text"] for block in message(text)["blocks"] for one in block.get("fields", ()))


def mail(text: str) -> Iterator[str]:
    settings = email.EmailSettings(kind="email", host="x", sender="brain@x.example", to=("ann@x.example",))
    made = email.compose(settings, email.Mail(to=settings.to, subject=text, text="", dedup=text), 0.0)
    yield made.as_bytes().decode().partition("\n\n")[0]


ATLASSIAN = "confluence.atlassian.com, 'Text fields: character limits' and 'Issue summary is limited to 255 characters'"
EVENTS = "developer.pagerduty.com, 'Send an Alert Event'"
BLOCKS = "docs.slack.dev, Block Kit reference"
NOW = "the dictionary of the table incident, as delivered; a longer value is cut without a word"
LIMITS = {
    "Jira summary": Limit(255, utf16_units, ATLASSIAN, lambda text: iter([issue(text)["summary"]])),
    "Jira label": Limit(255, utf16_units, ATLASSIAN, lambda text: iter(issue(text)["labels"])),
    "Jira text": Limit(32_767, utf16_units, ATLASSIAN, document),
    "PagerDuty summary": Limit(1024, utf16_units, EVENTS, lambda text: iter([event(text)["payload"]["summary"]])),
    "PagerDuty dedup_key": Limit(255, utf16_units, EVENTS, lambda text: iter([event(text)["dedup_key"]])),
    "PagerDuty body": Limit(
        512_000,
        octets,
        "developer.pagerduty.com, 'Events API v2 Overview': 512 KB",
        lambda text: iter([pagerduty.enqueue(pagerduty_settings(URL), event(text)).body.decode()]),
    ),
    "Slack header": Limit(150, utf16_units, BLOCKS, lambda text: blocks(text, "header")),
    "Slack section": Limit(3000, utf16_units, BLOCKS, lambda text: blocks(text, "section")),
    "Slack field": Limit(2000, utf16_units, BLOCKS, fields_of),
    "Slack text": Limit(
        4000,
        utf16_units,
        "docs.slack.dev, 'chat.postMessage': 4,000 characters at best",
        lambda text: iter([message(text)["text"]]),
    ),
    "Slack blocks": Limit(
        13_000,
        octets,
        "slackapi/bolt-js issue 2509: msg_blocks_too_long above about 13,200, documented nowhere",
        lambda text: iter(["x" * len(msgspec.json.encode(message(text)["blocks"]).decode())]),
    ),
    "ServiceNow short_description": Limit(
        160, utf16_units, NOW, lambda text: iter([record(text)["short_description"]])
    ),
    "ServiceNow description": Limit(4000, utf16_units, NOW, lambda text: iter([record(text)["description"]])),
    "ServiceNow correlation_id": Limit(100, utf16_units, NOW, lambda text: iter([record(text)["correlation_id"]])),
    "mail header line": Limit(998, in_mail, "RFC 5322, 2.1.1: 998 octets", mail),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_no_field_is_longer_than_its_service_takes(name: str, number: int) -> None:
    limit = LIMITS[name]
    assert limit.source
    sent = [*limit.sent(TEXTS[number]), *limit.sent("short")]
    assert sent
    assert [limit.counted(text) for text in sent if limit.counted(text) > limit.most] == []


@pytest.mark.parametrize("longest", [40, 41, 255])
def test_no_character_is_cut_in_two_and_keys_stay_different(longest: int) -> None:
    text = "😀" * 300
    assert longest - 2 < utf16_units(clip_units(text, longest)) <= longest
    assert clip_units("😀" * (longest // 2), longest) == "😀" * (longest // 2)
    keys = {short_key_units(text + end, longest) for end in ("", "a", "b")}
    assert len(keys) == 3
    assert max(map(utf16_units, keys)) <= longest
