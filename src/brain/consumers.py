"""For consumers made for the first version, during one release.

`House` is now `brain.plugins.PluginContext`, and `Consumer` is now `brain.plugins.Component`.
"""

from brain.plugins import PluginContext as House
from brain.plugins.former import Consumer

__all__ = ["Consumer", "House"]
