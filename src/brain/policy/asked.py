"""Requests for approval for those who answer them by other ways: they find them as ApprovalRequests."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256

import msgspec

from brain.errors import BrainError
from brain.kit.protocols import ApprovalRequests, AskedApproval
from brain.locks import InterruptibleLock
from brain.plugins import PluginContext
from brain.policy.approvals import Approval, Approvals, ApprovalStatus, place_of
from brain.policy.effects import acquire_engine, release_engine
from brain.policy.engine import PolicyEngine


class PolicyApprovals:
    """The requests of the engine that `acquire` gives, when something is asked first; `release` lets go of it."""

    def __init__(self, acquire: Callable[[], PolicyEngine], release: Callable[[], None]) -> None:
        self._acquire = acquire
        self._release = release
        self._approvals: Approvals | None = None
        self._making = InterruptibleLock()

    def look(self, approval_id: str) -> AskedApproval:
        """The request as it is now. Blocks. Raises NotFound, Unavailable."""
        return _asked(self._open().get(approval_id))

    def fault(self, approval_id: str, who: str) -> str | None:
        """Why an answer of `who` would not count now; None when it would. Blocks. Raises NotFound, Unavailable."""
        approval = self._open().get(approval_id)
        if approval.status is not ApprovalStatus.PENDING:
            return f"it is {approval.status} already" + (f" by {approval.answered_by}" if approval.answered_by else "")
        try:
            place_of(approval, who)
        except BrainError as error:
            return str(error)
        return None

    def answer(self, approval_id: str, *, agree: bool, by: str, reason: str) -> AskedApproval:
        """Answer for whoever acts here. Blocks. Raises as `Approvals.grant`."""
        give = self._open().grant if agree else self._open().refuse
        return _asked(give(approval_id, by=by, reason=reason))

    def close(self) -> None:
        """Let go of the engine. Blocks."""
        with self._making:
            if self._approvals is not None:
                self._approvals = None
                self._release()

    def _open(self) -> Approvals:
        with self._making:
            if self._approvals is None:
                self._approvals = self._acquire().approvals
            return self._approvals


def approval_requests(context: PluginContext) -> ApprovalRequests:
    """The requests of this process's store."""
    return PolicyApprovals(partial(acquire_engine, context), partial(release_engine, context))


def _asked(approval: Approval) -> AskedApproval:
    asked = approval.context
    question = (approval.id, approval.fingerprint, approval.rule_id, approval.expires_at, approval.requested_by)
    return AskedApproval(
        id=approval.id,
        status=approval.status.value,
        is_open=approval.status is ApprovalStatus.PENDING,
        agent=str(asked.get("agent_id") or ""),
        action=str(asked.get("action") or ""),
        resource=str(asked.get("resource") or ""),
        params=asked.get("params") or {},
        reason=approval.reason,
        requested_by=approval.requested_by,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        needed=approval.approvers.needed,
        agreed=tuple(grant.by for grant in approval.grants),
        answered_by=approval.answered_by,
        digest=sha256(msgspec.json.encode((question, approval.approvers), order="sorted")).hexdigest(),
    )
