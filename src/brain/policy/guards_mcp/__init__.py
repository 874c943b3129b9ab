"""Guards for the Model Context Protocol (the `mcp` extra): in front of a server, or round an agent's client."""

from brain.policy.guards_mcp.client import GuardedClient
from brain.policy.guards_mcp.deciding import failures
from brain.policy.guards_mcp.server import guard_server

__all__ = ["GuardedClient", "failures", "guard_server"]
