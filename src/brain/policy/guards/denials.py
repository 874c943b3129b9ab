"""The errors that a guard raises for a denied action."""

from __future__ import annotations

import sys
from typing import TypeVar

from brain.errors import BrainError
from brain.policy.approvals import Approval
from brain.policy.decisions import Decision, refusal

D = TypeVar("D", bound="ActionDenied")


class ActionDenied(BrainError):
    """The policy does not allow the action: `decision` says why, `approval` what a person was asked, if one was.

    Raised in a program that uses Starlette or FastAPI, it is an HTTPException of theirs too, so that an endpoint that
    does not catch it answers 403. It can be pickled and copied. Made from the message alone, as Celery's JSON results
    make it, it keeps its class; its `decision` then says DENY and names no rule.
    """

    status = 403
    title = "Action denied"

    def __init__(self, message: str, decision: Decision | None = None, approval: Approval | None = None) -> None:
        super().__init__(message)
        self.decision: Decision = decision or denial_in_words(message)
        self.approval = approval

    def ids(self) -> dict[str, str | None]:
        """The ids of the rule that denied and of the request to a person, None where there is none."""
        return {
            "rule_id": self.decision.rule_id,
            "approval_id": self.approval.id if self.approval is not None else None,
        }


def denial_in_words(message: str) -> Decision:
    """The decision behind a denial of which only the message arrived."""
    return refusal(message)


def denial_text(denied: BrainError) -> str:
    """The refusal as a text for the caller, such as a model: the error's title and the reason."""
    return f"{denied.title}: {denied}"


class ApprovalRequired(ActionDenied):
    """The action has to wait for a person: `approval` is the request. Once granted, the same call goes through."""

    title = "Approval required"
    approval: Approval


def action_denied(
    message: str, decision: Decision, approval: Approval | None = None, *, remedy: str = ""
) -> ActionDenied:
    """The ActionDenied to raise: in a program that has loaded Starlette one that its error handling knows.

    `remedy` is for the developer. It is a note, which a traceback shows, and no part of any answer to the caller.
    """
    if "starlette.exceptions" not in sys.modules:
        return _noted(ActionDenied(message, decision, approval), remedy)
    from brain.policy.guards.web_denials import ActionDeniedHTTP

    return _noted(ActionDeniedHTTP(message, decision, approval), remedy)


def approval_required(message: str, decision: Decision, approval: Approval, *, remedy: str = "") -> ApprovalRequired:
    """The ApprovalRequired to raise, likewise."""
    if "starlette.exceptions" not in sys.modules:
        return _noted(ApprovalRequired(message, decision, approval), remedy)
    from brain.policy.guards.web_denials import ApprovalRequiredHTTP

    return _noted(ApprovalRequiredHTTP(message, decision, approval), remedy)


def _noted(denied: D, remedy: str) -> D:
    if remedy:
        denied.add_note(remedy)
    return denied
