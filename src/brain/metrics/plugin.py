"""The metrics plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="metrics",
    purpose="Counts events; denial rates, times to mitigate and the resolution rate over time.",
    events="brain.metrics.events",
    settings="brain.metrics.settings:MetricsSettings",
    listens=("*",),
    open="brain.metrics.tasks:open_component",
    provides={"DecisionRecord": "brain.metrics.decision_record:decision_record"},
    commands={
        "metrics": Command("brain.metrics.commands:app", "Metrics: show and define them, check them by a recount."),
    },
    view=View("Metrics", "brain.metrics:page"),
)
