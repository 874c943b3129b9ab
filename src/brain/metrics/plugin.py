"""The metrics plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="metrics",
    purpose="Counts events; denial rates, times to mitigate and the resolution rate over time.",
    settings="brain.metrics.settings:MetricsSettings",
    listens=("*",),
    open="brain.metrics.tasks:open_component",
    provides={"DecisionRecord": "brain.metrics.decision_record:decision_record"},
    commands={
        "metrics": Command("brain.metrics.commands:app", "Metrics: show them, and check them by a recount."),
    },
)
