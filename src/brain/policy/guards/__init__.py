"""Guards: the engine's decision in front of people's own functions and of agents' tools."""

from brain.policy.guards.agent_context import ANONYMOUS, ActingExecutor, Agent, acting_as, carry
from brain.policy.guards.denials import ActionDenied, ApprovalRequired
from brain.policy.guards.guard import Guard

__all__ = [
    "ANONYMOUS",
    "ActingExecutor",
    "ActionDenied",
    "Agent",
    "ApprovalRequired",
    "Guard",
    "acting_as",
    "carry",
]
