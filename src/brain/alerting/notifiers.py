"""A page in the form of each kind of notifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from brain.alerting.grouping import PAGES, Action
from brain.alerting.notifier_settings import (
    AppriseNotifier,
    EmailNotifier,
    Notifier,
    PagerDutyNotifier,
    SlackNotifier,
    WebhookNotifier,
)
from brain.alerting.pages import Page
from brain.connectors.apprise import Apprise
from brain.connectors.email import Email, Mail
from brain.connectors.pagerduty import Alert as PagerDutyAlert
from brain.connectors.pagerduty import Link, PagerDuty
from brain.connectors.sender import Sender
from brain.connectors.slack import Message, Slack
from brain.connectors.webhook import Webhook


async def say(notifier: Notifier, page: Page, sender: Sender, clock: Callable[[], float]) -> Mapping[str, Any]:
    """Send the page; what the service answered. Raises Refused and TryLater."""
    match notifier:
        case PagerDutyNotifier():
            service = PagerDuty(sender, notifier)
            if page.action in PAGES:
                return {**await service.trigger(pagerduty_alert(page))}
            if page.action is Action.ACKNOWLEDGE:
                return {**await service.acknowledge(page.dedup_key)}
            return {**await service.resolve(page.dedup_key)}
        case SlackNotifier():
            return {**await Slack(sender, notifier).post(slack_message(page))}
        case WebhookNotifier():
            return {**await Webhook(sender, notifier, clock).send(page.id, page.document())}
        case EmailNotifier():
            return {**await Email(notifier, clock).send(mail(page, notifier.to))}
        case AppriseNotifier():
            return {**await Apprise(notifier).notify(page.title, with_links(page), page.severity)}


def pagerduty_alert(page: Page) -> PagerDutyAlert:
    """The page as PagerDuty shows it: known by the leading alert's key, with all the rest among its details."""
    lead: Mapping[str, Any] = page.alerts[0] if page.alerts else {}
    agent = lead.get("labels", {}).get("agent", "")
    details: dict[str, Any] = {"route": page.route}
    if page.alerts:
        details |= {"alerts": page.alerts, "alerts_total": page.alerts_total}
    if page.held_back:
        details |= {"held_back": page.held_back, "held_back_total": page.held_back_total}
    if page.decisions:
        details["decisions"] = page.decisions
    if page.timeline:
        details["timeline"] = [asdict(step) for step in page.timeline]
    return PagerDutyAlert(
        dedup_key=page.dedup_key,
        summary=page.title,
        source=agent or "brain",
        severity=page.severity,
        timestamp=lead.get("first_at", page.at),
        component=agent,
        group=page.route,
        kind=lead.get("name", ""),
        details=details,
        links=[Link(href=url, text=text) for text, url in page.links],
        client_url=page.links[0][1] if page.links else "",
    )


def slack_message(page: Page) -> Message:
    """The page as a message in a channel."""
    lead: Mapping[str, Any] = page.alerts[0] if page.alerts else {}
    shown = {"Alert": lead.get("name", ""), "Agent": lead.get("labels", {}).get("agent", ""), "Route": page.route}
    return Message(
        title=page.title,
        text=page.text(),
        severity=page.severity if page.action in PAGES else "",
        fields={name: value for name, value in shown.items() if value},
        links=[(url, text) for text, url in page.links],
        footer=f"BRAiN EventStream · {page.dedup_key}",
    )


def mail(page: Page, to: Sequence[str]) -> Mail:
    """The page as a mail; all mails about one thing make one thread."""
    subject = f"[{page.severity}] {page.title}" if page.action in PAGES else page.title
    return Mail(to=to, subject=subject, text=with_links(page), dedup=page.id, thread=page.dedup_key)


def with_links(page: Page) -> str:
    """What the page says, and its links, for where a link is text."""
    links = "\n".join(f"{text}: {url}" for text, url in page.links)
    return "\n\n".join(filter(None, (page.title, page.text(), links)))
