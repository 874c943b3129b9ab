"""The policy module: rules, decisions on what agents may do, and guards that ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.charter import Effect
    from brain.policy.decisions import Decision
    from brain.policy.engine import PolicyEngine
    from brain.policy.explain import Explanation
    from brain.policy.guards import ANONYMOUS, ActingExecutor, ActionDenied, ApprovalRequired, Guard, acting_as, carry
    from brain.policy.models import Condition, Mode, Rule
    from brain.policy.operators import Operator
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.charter": ["Effect"],
            "brain.policy.decisions": ["Decision"],
            "brain.policy.engine": ["PolicyEngine"],
            "brain.policy.explain": ["Explanation"],
            "brain.policy.guards": [
                "ANONYMOUS",
                "ActingExecutor",
                "ActionDenied",
                "ApprovalRequired",
                "Guard",
                "acting_as",
                "carry",
            ],
            "brain.policy.models": ["Condition", "Mode", "Rule"],
            "brain.policy.operators": ["Operator"],
        },
    )

__all__ = [
    "ANONYMOUS",
    "ActingExecutor",
    "ActionDenied",
    "ApprovalRequired",
    "Condition",
    "Decision",
    "Effect",
    "Explanation",
    "Guard",
    "Mode",
    "Operator",
    "PolicyEngine",
    "Rule",
    "acting_as",
    "carry",
]
