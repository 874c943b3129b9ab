"""For consumers made for the first version, during one release: `House` and `Consumer` under their old names."""

from brain.plugins import PluginContext as House
from brain.plugins.former import Consumer

__all__ = ["Consumer", "House"]
