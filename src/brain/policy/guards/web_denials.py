"""Denials that are HTTPExceptions of Starlette too: uncaught in an endpoint they are 403, not 500."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.exceptions import HTTPException

from brain.policy.approvals import Approval
from brain.policy.decisions import Decision
from brain.policy.guards.denials import ActionDenied, ApprovalRequired, denial_in_words


class ActionDeniedHTTP(ActionDenied, HTTPException):
    """ActionDenied, as Starlette's and FastAPI's error handling know it."""

    def __init__(self, message: str, decision: Decision | None = None, approval: Approval | None = None) -> None:
        Exception.__init__(self, message)  # ActionDenied's would go on to HTTPException's, which takes other arguments
        self.decision: Decision = decision or denial_in_words(message)
        self.approval = approval
        self.status_code: int = self.status
        self.detail = message
        self.headers: Mapping[str, str] | None = None

    def __str__(self) -> str:
        return self.detail


class ApprovalRequiredHTTP(ApprovalRequired, ActionDeniedHTTP):
    """ApprovalRequired, likewise."""
