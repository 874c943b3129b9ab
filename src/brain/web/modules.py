"""For modules made for the first version, during one release: `Module`, which is now `brain.plugins.Component`."""

from brain.plugins.former import Module

__all__ = ["Module"]
