"""For modules made for the first version, during one release: `Module` under its old name."""

from brain.plugins.former import Consumer as Module

__all__ = ["Module"]
