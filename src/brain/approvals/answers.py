"""What links are good for: to see what is asked, and to answer it once."""

from __future__ import annotations

import time
from collections.abc import Callable, Container
from typing import NamedTuple

from brain.approvals.events import LINK_REFUSED, LinkRefused
from brain.approvals.links import Link, Links
from brain.charter import Principal, acting, current_principal
from brain.errors import Conflict, Forbidden, NotFound
from brain.kit.protocols import ApprovalRequests, AskedApproval
from brain.logs import Log
from brain.redaction import redacted
from brain.stream.publisher import Publisher, emit

log: Log = Log("brain.approvals")

HOW = "link"
"""How a person is proven by a link."""
_FOREIGN = "the link is none of this server's, or is not whole"


class Opened(NamedTuple):
    """What is behind a link. With a `fault` it is good for nothing, and `status` is that of the answer over HTTP."""

    link: Link | None = None
    asked: AskedApproval | None = None
    fault: str | None = None
    status: int = 200


class Answers:
    """Answers by links. All methods block, and raise Unavailable. `clock` gives Unix seconds."""

    def __init__(
        self,
        links: Links,
        requests: ApprovalRequests,
        people: Container[str],
        stream: Publisher | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._links = links
        self._requests = requests
        self._people = people
        self._stream = stream
        self._clock = clock

    def open(self, token: str) -> Opened:
        """What is behind a link; nothing changes by that. One that is none of ours is an event."""
        opened = self._opened(token)
        if opened.link is None:
            self._note(opened)
        return opened

    def answer(self, token: str, *, agree: bool, reason: str) -> Opened:
        """Answer as the one for whom the link was made. Every refusal is an event."""
        opened = self._opened(token)
        if opened.fault is None:
            opened = self._answered(opened, agree=agree, reason=reason)
        if opened.fault is not None:
            self._note(opened)
        return opened

    def _opened(self, token: str) -> Opened:
        link = self._links.read(token)
        if link is None:
            return Opened(fault=_FOREIGN, status=404)
        if link.name not in self._people:
            return Opened(link, fault=f"{link.name} is not, or not any more, among those who approve", status=403)
        try:
            asked = self._requests.look(link.approval_id)
        except NotFound:
            return Opened(link, fault="what was asked is not kept any more", status=410)
        if not link.is_for(asked):
            return Opened(link, fault="what is asked has changed since the link was made", status=409)
        if asked.is_open and self._clock() >= min(link.expires_at, asked.expires_at):
            return Opened(link, asked, "the time for an answer is over", 410)
        visitor = current_principal()
        names = {visitor.name, visitor.person} if visitor is not None and visitor.is_one else set()
        if names & {asked.requested_by, asked.agent}:
            who = ", ".join(sorted(names))
            return Opened(link, asked, f"{who} asked for it, and so cannot answer it; another one must", 403)
        fault = self._requests.fault(asked.id, link.name)
        if fault is None:
            return Opened(link, asked)
        return Opened(link, asked, fault, 403 if asked.is_open and link.name not in asked.agreed else 410)

    def _answered(self, opened: Opened, *, agree: bool, reason: str) -> Opened:
        link, visitor = opened.link, current_principal()
        assert link is not None, "a link without a fault"
        who = Principal(name=link.name, kind="person", how=HOW, address=None if visitor is None else visitor.address)
        try:
            with acting(who):
                asked = self._requests.answer(link.approval_id, agree=agree, by=link.name, reason=redacted(reason))
        except (Conflict, Forbidden, NotFound) as error:  # it was answered since it was looked at
            return opened._replace(fault=str(error), status=410)
        log.info("an approval was answered by a link", approval=asked.id, by=link.name, status=asked.status)
        return Opened(link, asked)

    def _note(self, opened: Opened) -> None:
        link = opened.link
        log.warning("an answer by a link is refused", reason=opened.fault, approver=None if link is None else link.name)
        payload: LinkRefused = {
            "approval_id": None if link is None else link.approval_id,
            "approver": None if link is None else link.name,
            "reason": opened.fault or "",
        }
        emit(self._stream, LINK_REFUSED, payload)
