"""The metrics plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="metrics",
    purpose="Counts events; denial rates, times to mitigate and the resolution rate over time.",
    settings="brain.metrics.settings:MetricsSettings",
    listens=("*",),
    open="brain.metrics.tasks:open_component",
    commands={"metrics": "brain.metrics.commands:app"},
)
