"""The one contract for plug-ins. A plug-in is an entry point of the group `brain.plugins` that names a `Plugin`:

    [project.entry-points."brain.plugins"]
    weather = "brain_weather.plugin:PLUGIN"

Policy, threats, immune, audit, metrics, alerting and incidents are such plug-ins themselves. docs/plugins.md shows how
to write, test and publish one.
"""

from brain.plugins.contract import Command, Component, Plugin, PluginContext, Quick, Routes, View
from brain.plugins.discovery import catalogue, check_plugins, check_running, plugin_faults, plugins

__all__ = [
    "Command",
    "Component",
    "Plugin",
    "PluginContext",
    "Quick",
    "Routes",
    "View",
    "catalogue",
    "check_plugins",
    "check_running",
    "plugin_faults",
    "plugins",
]
