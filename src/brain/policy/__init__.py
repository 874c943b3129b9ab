"""The policy module: rules, and decisions on what agents may do."""

from brain.policy.engine import PolicyEngine
from brain.policy.explain import Explanation
from brain.policy.models import Condition, Decision, Effect, Mode, Operator, Rule

__all__ = ["Condition", "Decision", "Effect", "Explanation", "Mode", "Operator", "PolicyEngine", "Rule"]
