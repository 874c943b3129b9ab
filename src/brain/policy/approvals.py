"""Approvals: an action that a rule lets through only when a person agrees, in time, and once."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import inf, isfinite
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain import limits
from brain.charter import EventType, Principal, current_principal
from brain.errors import Conflict, Forbidden, InvalidInput, NotFound
from brain.kit.idempotency import CreatedKeys, content_digest
from brain.locks import InterruptibleLock
from brain.policy.approvers import MAX_TIMEOUT, TIMEOUT_REMEDY, Approvers, Grant, approvers_of, is_timeout
from brain.policy.decisions import Decision
from brain.policy.events import (
    APPROVAL_AGREED,
    APPROVAL_EXPIRED,
    APPROVAL_GRANTED,
    APPROVAL_REFUSED,
    APPROVAL_REQUESTED,
    APPROVAL_USED,
    ApprovalStep,
)
from brain.policy.json_safe import to_json_safe
from brain.policy.normalisation import Opaque, normalise
from brain.redaction import redacted
from brain.store import Document, DocumentChange, Store, forking
from brain.store.deletion_clock import deletion_clock, steady_seconds
from brain.stream.announcer import EventDraft, write_announced
from brain.stream.publisher import Publisher
from brain.typed import ready
from brain.unreadable import readable

COLLECTION = "policy.approvals"
KEYS = "policy.approvals.keys"
DEFAULT_TIMEOUT = 300.0
OVERDUE_SECONDS = 86_400.0
"""How long a request is past its time before a process that has only just seen it calls it EXPIRED."""
KEPT_SECONDS = 90 * 86_400.0


class ApprovalStatus(StrEnum):
    """What became of a request so far. GRANTED becomes USED when the action is let through."""

    PENDING = "PENDING"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    EXPIRED = "EXPIRED"
    USED = "USED"


_OPEN = (ApprovalStatus.PENDING, ApprovalStatus.GRANTED)


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """One request for a person's agreement, and its answer. Times are Unix seconds."""

    id: str
    status: ApprovalStatus
    context: Annotated[dict[str, Any], Meta(description="What the agent wants to do.")]
    fingerprint: str
    rule_id: Annotated[str | None, Meta(description="The rule that asks for the approval.")]
    rule_name: str | None
    reason: Annotated[str, Meta(description="Why an approval is needed.")]
    requested_at: float
    expires_at: Annotated[float, Meta(description="Until when an answer counts; none in time is a refusal.")]
    requested_by: Annotated[str | None, Meta(description="Who asked, where that is proven.")] = None
    answered_by: str | None = None
    answer: Annotated[str | None, Meta(description="What the person said.")] = None
    answered_at: float | None = None
    approvers: Annotated[Approvers, Meta(description="Who must agree, and how many.")] = Approvers()
    grants: Annotated[tuple[Grant, ...], Meta(description="Who has agreed so far.")] = ()

    def __hash__(self) -> int:
        """By its id, which stays the same through its changes."""
        return hash(self.id)


class Approvals(forking.Part):
    """Requests for approval in a Store, shared by all processes on it. Every step is one write with its event.

    The clocks of processes differ, so a request is not over because one of them says so: it is EXPIRED when its
    lifetime has passed in the process that asked, or since another process first saw it, or when it is overdue by a
    day. `use` is stricter: it lets nothing through after `expires_at` on its own clock either.

    Methods raise Unavailable when the store does not answer.
    """

    level: forking.Level = forking.Level.SERVICE

    def __init__(self, store: Store, event_stream: Publisher | None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._keys = CreatedKeys(store, KEYS)
        self._stream = event_stream
        self._clock = clock
        self._lock = InterruptibleLock()  # taken by itself: what interrupts `with` on a Condition may leave it held
        self._answered = threading.Condition(self._lock)
        self._revision: int | None = None
        self._due = inf
        # Steps of the wall clock do not count, unless a test brings a clock of its own.
        self._elapsed = steady_seconds if clock is time.time else clock
        self._seen: dict[str, float] = {}
        forking.register(self)

    def request(
        self,
        decision: Decision,
        context: Mapping[str, Any],
        timeout: float = DEFAULT_TIMEOUT,
        *,
        key: str | None = None,
    ) -> Approval:
        """Ask for a person's agreement to what `decision` let through; an answer counts for `timeout` seconds.

        With a `key` the same call again gives back the first request as it is then. Raises InvalidInput for a timeout
        out of bounds, for a context with a value that can only be shown, for one that is too large for its event, and
        for a bad key; Conflict when the key made a request from other content.
        """
        if not is_timeout(timeout):
            raise InvalidInput(f"timeout: {timeout!r} is out of bounds; {TIMEOUT_REMEDY}")
        now = self._clock()
        asked = _approvable(context)
        approval = Approval(
            # By time, so that the newest are found without reading all.
            id=f"{_id_at(now)}_{secrets.token_hex(6)}",
            status=ApprovalStatus.PENDING,
            context=redacted(to_json_safe(_shown(asked))),
            fingerprint=fingerprint(asked),
            rule_id=decision.rule_id,
            rule_name=decision.rule_name,
            reason=decision.reason,
            requested_at=now,
            expires_at=now + timeout,
            requested_by=_asker(),
            approvers=approvers_of(decision.metadata),
        )
        content = content_digest(approval.fingerprint, approval.rule_id, float(timeout))
        while (made := self._keys.find(key, content)) is None:
            try:
                self._write(
                    approval,
                    0,
                    EventDraft(APPROVAL_REQUESTED, _step(approval, approval.reason)),
                    self._keys.changes(key, approval.id, content),
                )
            except Conflict:
                if key is None:
                    raise
            else:
                self._seen[approval.id] = self._elapsed()
                return approval
        return self.get(made)

    def get(self, approval_id: str) -> Approval:
        """The request as it is now; one past its time is EXPIRED. Raises NotFound."""
        return self._current(self._document(approval_id))

    def list(self, status: ApprovalStatus | str | None = None, limit: int = 100) -> list[Approval]:
        """The newest requests first, all or those of one status. Raises InvalidInput for an unknown status."""
        limits.check_count("limit", limit)
        wanted = _status(status) if status is not None else None
        found = []
        for approval in self._readable(self._current, newest_first=True):
            if wanted is None or approval.status is wanted:
                found.append(approval)
                if len(found) == limit:
                    break
        return found

    def grant(self, approval_id: str, *, by: str, reason: str = "") -> Approval:
        """A person's yes; where several must agree, the request is granted with the last of them.

        Raises NotFound, Forbidden for one who asked for it or may not agree, Conflict when it is answered already, or
        too late, or by the same one, and InvalidInput for a text beyond its bound.
        """
        return self._answer(approval_id, ApprovalStatus.GRANTED, by, reason)

    def refuse(self, approval_id: str, *, by: str, reason: str = "") -> Approval:
        """A person's no. Raises as `grant`."""
        return self._answer(approval_id, ApprovalStatus.REFUSED, by, reason)

    def use(self, approval_id: str) -> bool:
        """Take a granted approval for one action; False when it is not granted, too old, or taken already."""
        document = self._document(approval_id)
        approval = self._current(document)
        if approval.status is not ApprovalStatus.GRANTED or self._clock() >= approval.expires_at:
            return False
        used = msgspec.structs.replace(approval, status=ApprovalStatus.USED)
        return self._replaced(document, used, APPROVAL_USED, used.answer or "")

    def find(self, context: Mapping[str, Any]) -> Approval | None:
        """The newest request for exactly this context that is still pending or granted, or None."""
        wanted = fingerprint(context)
        for approval in self._readable(_read, newest_first=True):
            if approval.requested_at < self._clock() - MAX_TIMEOUT:
                return None
            is_open = approval.status in _OPEN and self._clock() < approval.expires_at
            if approval.fingerprint == wanted and is_open and self.get(approval.id).status in _OPEN:
                return approval
        return None

    def wait(self, approval_id: str, poll: float) -> Approval:
        """Block until the request is answered or past its time. An answer of another process is seen after `poll` s."""
        with self._lock:
            while (approval := self.get(approval_id)).status is ApprovalStatus.PENDING:
                self._answered.wait(min(poll, max(0.001, approval.expires_at - self._clock())))
        return approval

    def after_fork_in_child(self) -> None:
        """Have a lock of this process's own, and go through all requests at the next tick."""
        self._lock = InterruptibleLock()
        self._answered = threading.Condition(self._lock)
        self._revision = None

    def tick(self) -> None:
        """Mark requests past their time as EXPIRED, and forget those answered long ago; cheap when nothing is due."""
        revision = self._store.revision(COLLECTION)
        if revision == self._revision and self._clock() < self._due:
            return
        self._revision = revision
        self._due = inf
        forgotten = min(self._clock(), deletion_clock(self._store)()) - KEPT_SECONDS
        self._keys.forget(_id_at(forgotten))
        seen, self._seen = self._seen, {}
        for approval in self._readable(lambda document: self._current(document, seen)):
            if approval.status in _OPEN:
                self._due = min(self._due, self._clock() + self._left(approval))
            elif approval.requested_at < forgotten:
                self._store.delete(COLLECTION, approval.id)

    def _answer(self, approval_id: str, status: ApprovalStatus, by: str, reason: str) -> Approval:
        if not by.strip():
            raise InvalidInput("by: is empty; give the name of the person who answers")
        for name, text, most in (("by", by, limits.ID), ("reason", reason, limits.TEXT)):
            if (fault := limits.text_fault(text, most)) is not None:
                raise InvalidInput(f"{name}: {fault}")
        who = _proven()
        if who is not None and by == who.name:
            by = who.person
        while (answered := self._answered_once(self._document(approval_id), status, by, reason)) is None:
            pass  # another one answered in between: where several must agree, this answer may still be wanted
        with self._lock:
            self._answered.notify_all()
        return answered

    def _answered_once(self, document: Document, status: ApprovalStatus, by: str, reason: str) -> Approval | None:
        """The request with this answer; None when it has changed since it was read."""
        approval = self._current(document)
        if approval.status is not ApprovalStatus.PENDING:
            raise Conflict(f"approval {approval.id} is {approval.status} already" + _by(approval))
        now = self._clock()
        if status is ApprovalStatus.GRANTED:
            answered, event_type, place = _agreed(approval, by, reason, now)
        else:
            answered, event_type, place = _refused(approval, by, reason, now), APPROVAL_REFUSED, by
        claimed = next((name for name in (place, by) if name != answered.answered_by), None)
        meta = None if claimed is None else {"on_behalf_of": claimed}
        return answered if self._replaced(document, answered, event_type, reason, meta) else None

    def _readable(self, read: Callable[[Document], Approval], *, newest_first: bool = False) -> Iterator[Approval]:
        """What `read` makes of each stored request; one that cannot be read is left out, and that is said."""
        found = self._store.scan(COLLECTION, newest_first=newest_first)
        return readable(COLLECTION, ((document.key, document) for document in found), read)

    def _left(self, approval: Approval) -> float:
        """The seconds after which the request is over for this process; 0 or less: it is."""
        lived = self._elapsed() - self._seen.setdefault(approval.id, self._elapsed())
        lifetime = approval.expires_at - approval.requested_at
        return min(lifetime - lived, approval.expires_at + OVERDUE_SECONDS - self._clock())

    def _current(self, document: Document, seen: Mapping[str, float] = MappingProxyType({})) -> Approval:
        """The request, after it was marked as expired if its time is over; one of all processes announces that.

        `seen` are the times at which this process saw requests before, to be kept for those that are open.
        """
        approval = _read(document)
        if approval.status not in _OPEN:
            return approval
        if approval.id in seen:
            self._seen[approval.id] = seen[approval.id]
        if self._left(approval) > 0:
            return approval
        expired = msgspec.structs.replace(approval, status=ApprovalStatus.EXPIRED)
        if self._replaced(document, expired, APPROVAL_EXPIRED, expired.reason):
            return expired
        return self.get(approval.id)

    def _document(self, approval_id: str) -> Document:
        document = self._store.get(COLLECTION, approval_id) if approval_id else None
        if document is None:
            raise NotFound(f"there is no approval {approval_id!r}; `brain policy approvals` lists the requests")
        return document

    def _replaced(
        self,
        document: Document,
        approval: Approval,
        event_type: EventType[ApprovalStep],
        reason: str,
        meta: Mapping[str, Any] | None = None,
    ) -> bool:
        step = EventDraft(event_type, _step(approval, reason), meta)
        try:
            self._write(approval, document.version, step)
        except Conflict:
            return False
        return True

    def _write(
        self,
        approval: Approval,
        expected: int,
        step: EventDraft[ApprovalStep],
        more: Sequence[DocumentChange] = (),
    ) -> None:
        change = DocumentChange(COLLECTION, approval.id, msgspec.json.encode(approval), expected)
        write_announced(self._store, self._stream, [change, *more], [step])


def _agreed(approval: Approval, by: str, reason: str, now: float) -> tuple[Approval, EventType[ApprovalStep], str]:
    """The request after this yes, its event, and for whom the yes counts. Raises Forbidden and Conflict.

    The key of the settings, which a team may share, counts as one, whatever names are given with it.
    """
    who = _proven()
    actor = by if who is None else who.person
    place = approval.approvers.place_of(by, approval.grants) if who is None else place_of(approval, actor, who.name)
    grants = (*approval.grants, Grant(by=actor, place=place, reason=reason, at=now))
    enough = len(grants) >= approval.approvers.needed
    answered = msgspec.structs.replace(
        approval,
        status=ApprovalStatus.GRANTED if enough else ApprovalStatus.PENDING,
        answered_by=_answerer(by),
        answer=reason,
        answered_at=now,
        grants=grants,
    )
    return answered, APPROVAL_GRANTED if enough else APPROVAL_AGREED, by if place == actor else place


def place_of(approval: Approval, who: str, *names: str) -> str:
    """For whom a yes of `who`, who is proven and has these other `names`, counts.

    Raises Forbidden for one who asked, and as `Approvers`.
    """
    if not {who, *names}.isdisjoint((approval.requested_by, approval.context.get("agent_id"))):
        raise Forbidden(f"approval {approval.id}: {who} asked for it, and so cannot grant it; another one must")
    return approval.approvers.place_of(who, approval.grants)


def _refused(approval: Approval, by: str, reason: str, now: float) -> Approval:
    return msgspec.structs.replace(
        approval, status=ApprovalStatus.REFUSED, answered_by=_answerer(by), answer=reason, answered_at=now
    )


def _proven() -> Principal | None:
    """Who acts here, where something proves it; a key that a team shares is a name as well."""
    who = current_principal()
    return who if who is not None and who.how != "none" else None


def _asker() -> str | None:
    """The person for whom whoever acts here asks."""
    who = _proven()
    return None if who is None else who.person


def _answerer(by: str) -> str:
    """Whose answer it is: that of whoever acts here, where that is proven to be one alone; else of `by`."""
    who = current_principal()
    return who.person if who is not None and who.is_one else by


def _id_at(at: float) -> str:
    """What the id of a request of that Unix time begins with."""
    return f"apr_{max(0, int(at * 1000)):013d}"


def _step(approval: Approval, reason: str) -> ApprovalStep:
    asked = approval.context
    payload: ApprovalStep = {
        "approval_id": approval.id,
        "agent_id": asked.get("agent_id"),
        "agent_role": asked.get("agent_role"),
        "action": asked.get("action"),
        "resource": asked.get("resource"),
        "params": asked.get("params", {}),
        "rule_id": approval.rule_id,
        "reason": reason,
        "expires_at": approval.expires_at,
    }
    if approval.answered_by is not None:
        payload["by"] = approval.answered_by
    return payload


def fingerprint(context: Mapping[str, Any]) -> str:
    """What tells one action from another: the whole context, each value with its type. Raises InvalidInput."""
    return hashlib.sha256(canonical(_approvable(context)).encode(errors="surrogatepass")).hexdigest()


COMPARABLE_VALUES = "pass values of JSON, or choose with the guard's `params` the arguments that are decided on"
"""The developer's remedy for a context that is `unapprovable`."""


def unapprovable(context: Mapping[str, Any]) -> str | None:
    """Why nobody can approve this normalised context: a value of it can only be shown. None when somebody can."""
    for path, value in _leaves("", context):
        if isinstance(value, Opaque):
            return f"{path}: {value.text[:100]} can only be shown, not compared, so nobody can approve it"
    return None


def _approvable(context: Mapping[str, Any]) -> dict[str, Any]:
    asked: dict[str, Any] = normalise(context)
    if why := unapprovable(asked):
        raise InvalidInput(f"{why}; {COMPARABLE_VALUES}")
    return asked


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values inside a normalised one, each with its dotted path."""
    if isinstance(value, (dict, list)):
        for name, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(f"{path}.{name}" if path else str(name), member)
    else:
        yield path, value


def canonical(value: Any) -> str:
    """A text that two normalised values share only when they are the same, of the same type, whatever their order."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key!r}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, Fraction):
        return f"Fraction:{value.numerator:x}/{value.denominator:x}"
    exact = f"{value:x}" if type(value) is int else repr(value)  # the decimal digits of a big int are refused by Python
    return f"{type(value).__name__}:{exact}"


def _shown(value: Any) -> Any:
    """A normalised value as JSON that a person can read: numbers that JSON cannot hold are texts."""
    if isinstance(value, dict):
        return {key: _shown(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_shown(member) for member in value]
    number = isinstance(value, (Decimal, Fraction)) or (isinstance(value, float) and not isfinite(value))
    big = type(value) is int and not -(2**63) <= value < 2**64
    return _digits(value) if number or big else value


def _digits(number: Any) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than Python writes
        return canonical(number)


def _read(document: Document) -> Approval:
    return msgspec.json.decode(document.data, type=ready(Approval))


def _status(given: ApprovalStatus | str) -> ApprovalStatus:
    try:
        return ApprovalStatus(given.upper())
    except ValueError:
        known = ", ".join(status.value for status in ApprovalStatus)
        raise InvalidInput(f"status: {given!r} is unknown; use one of {known}") from None


def _by(approval: Approval) -> str:
    return f" by {approval.answered_by}" if approval.answered_by else ""
