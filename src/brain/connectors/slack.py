"""Slack, through an incoming webhook: messages to one channel.

Source: docs.slack.dev, "Sending messages using incoming webhooks", "Formatting message text" (which characters to
escape), "Rate limits" (one message a second and channel; 429 with Retry-After) and the Block Kit reference (lengths).
What was posted is answered 200 with the word `ok`; the Web API (chat.postMessage, workflow triggers) answers 200 with
`{"ok": false, "error": ...}` also for a no. Lengths are documented in characters: UTF-16 units are never fewer.
An incoming webhook has no key by which a message is known again: a message whose answer was lost may come twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypedDict

from pydantic import Field

from brain.connectors.notifiers import Notifier, NotifierSettings
from brain.connectors.pages import Page
from brain.connectors.sender import Answer, Refused, Request, TryLater, json_request
from brain.neutral import slack_text
from brain.secret import Secret
from brain.text import clip_text, clip_units, one_line_units, utf16_units

SERVICE = "Slack"
_HEADER, _SECTION, _FIELDS, _TEXT, _ELEMENTS = 150, 3000, 10, 4000, 10
_FIELD, _LINKS = 300, 2000
"""Far below Slack's 2000 and 3000: above 13,000 in all, Slack answers msg_blocks_too_long (bolt-js, issue 2509)."""
_PASSING = frozenset(
    {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout"}
)
_LOGIN = frozenset(
    {"account_inactive", "invalid_auth", "invalid_token", "not_authed", "token_expired", "token_revoked"}
)
"""Slack's words for a token that it does not accept (any more): everything waits until somebody renews it."""
_EMOJI = {"CRITICAL": "🔴", "HIGH": "🟠", "ERROR": "🟠", "MEDIUM": "🟡", "WARNING": "🟡", "LOW": "🔵", "INFO": "🔵"}


class SlackSettings(NotifierSettings):
    """A Slack channel, by an incoming webhook."""

    webhook_url: Secret = Field(description="URL of the incoming webhook; who has it can post, so it is a secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackMessage:
    """A message; all texts are plain and are escaped here."""

    title: str
    text: str = ""
    severity: str = ""
    """One of ours; shown by a coloured circle and in words."""
    fields: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[tuple[str, str]] = ()
    """Pairs of URL and text."""
    footer: str = ""


class SlackAnswer(TypedDict):
    """Slack's answer, which is the word `ok`."""

    said: str


class Slack(Notifier[SlackSettings]):
    """Posts messages through one webhook."""

    settings_model: ClassVar[type[SlackSettings]] = SlackSettings
    per_minute: ClassVar[int | None] = 60

    async def send(self, page: Page) -> Mapping[str, Any]:
        """Post the page as a message. Slack cannot tell a message that is sent twice."""
        return {**await self.post(slack_message(page))}

    async def post(self, message: SlackMessage) -> SlackAnswer:
        """Post it. Raises Refused (no such webhook, channel archived, bad message) and TryLater."""
        try:
            answer = await self._sender.send(SERVICE, post(self._settings, message))
        except Refused as error:
            if error.words in _LOGIN:
                raise _unknown(error.words, error.service_status) from error
            raise
        return SlackAnswer(said=_accepted(answer))


def _unknown(words: str, status: int) -> TryLater:
    said = f"{SERVICE} does not accept the webhook's token ({words}); set a new webhook_url"
    return TryLater(said, service_status=status, about_connection=True)


def _accepted(answer: Answer) -> str:
    """Slack's word for yes. A status of 200 alone is none: a proxy's page has it, and so has an error of the Web API.

    Raises TryLater for a body that is not Slack's, or an error that passes; Refused for another error.
    """
    said = clip_text(answer.body.decode("utf-8", "replace").strip(), 100)
    if said == "ok":
        return said
    try:
        found = answer.json()
    except TryLater:
        found = None
    if not isinstance(found, dict) or "ok" not in found:
        words = one_line_units(said, 100) or "nothing"
        said = f"{SERVICE} answered {answer.status} with something else than `ok`: {words}"
        raise TryLater(said, service_status=answer.status, about_connection=True)
    if found["ok"] is True:
        return "ok"
    error = str(found.get("error", "no reason given"))
    if error in _PASSING:
        raise TryLater(f"{SERVICE} answered {error}", service_status=answer.status)
    if error in _LOGIN:
        raise _unknown(error, answer.status)
    raise Refused(SERVICE, answer.status, error)


def slack_message(page: Page) -> SlackMessage:
    """The page as a message in a channel."""
    shown = {"Alert": page.lead.get("name", ""), "Agent": page.agent, "Route": page.route}
    return SlackMessage(
        title=page.title,
        text=page.text(),
        severity=page.severity if page.action.is_paging else "",
        fields={name: value for name, value in shown.items() if value},
        links=[(url, text) for text, url in page.links],
        footer=f"BRAiN EventStream · {page.dedup_key}",
    )


def post(settings: SlackSettings, message: SlackMessage) -> Request:
    """The request that posts the message."""
    return json_request("POST", settings.webhook_url.reveal(), content(message))


def content(message: SlackMessage) -> dict[str, Any]:
    """The message as blocks, with a text for notifications and screen readers, cut to Slack's lengths."""
    mark = f"{_EMOJI.get(message.severity.upper(), '⚪')} {message.severity}: " if message.severity else ""
    heading = one_line_units(mark + message.title, _HEADER) or "(no title)"
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": heading}}]
    if message.text.strip():
        blocks.append({"type": "section", "text": _markup(message.text, _SECTION)})
    if message.fields:
        shown = [
            {
                "type": "mrkdwn",
                "text": f"*{slack_text(one_line_units(name, 50))}*\n{_markup(value or '–', _FIELD)['text']}",
                "verbatim": True,
            }
            for name, value in list(message.fields.items())[:_FIELDS]
        ]
        blocks.append({"type": "section", "fields": shown})
    if message.links:
        links = _joined_links(message.links[:_ELEMENTS])
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links, "verbatim": True}})
    if message.footer:
        blocks.append({"type": "context", "elements": [_markup(one_line_units(message.footer, 500), _SECTION)]})
    summary = f"{mark}{message.title}\n{message.text}".strip() or "(no text)"
    return {"text": slack_text(clip_units(summary, _TEXT // 5)), "blocks": blocks}


def _joined_links(links: Sequence[tuple[str, str]]) -> str:
    """As many of the links as have room."""
    joined = ""
    for url, text in links:
        one = f"<{_url(url)}|{slack_text(one_line_units(text, 100))}>"
        longer = f"{joined}  ·  {one}" if joined else one
        if utf16_units(longer) > _LINKS:
            break
        joined = longer
    return joined or "(the links are too long)"


def _markup(text: str, longest: int) -> dict[str, Any]:
    """A text object, in which Slack makes no links and mentions of its own.

    It is cut before it is escaped, so that no `&amp;` is cut in two, and again if that made it too long.
    """
    cut = longest
    while utf16_units(escaped := slack_text(clip_units(text, cut))) > longest:
        cut -= max(1, (utf16_units(escaped) - longest) // 4)
    return {"type": "mrkdwn", "text": escaped, "verbatim": True}


def _url(url: str) -> str:
    return slack_text(url).replace("|", "%7C")
