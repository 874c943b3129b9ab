"""Guards: the engine's decision in front of people's own functions and of agents' tools."""

from brain.policy.guards.guard import ActionDenied, Agent, ApprovalRequired, Guard, acting_as

__all__ = ["ActionDenied", "Agent", "ApprovalRequired", "Guard", "acting_as"]
