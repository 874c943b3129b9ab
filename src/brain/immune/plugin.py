"""The immune plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="immune",
    purpose="Keeps the fleet's health events, derives them from errors and heartbeats, and heals the critical ones.",
    events="brain.immune.events",
    listens=(  # brain.immune.measures.LISTENS
        "*.failed",
        "*.error",
        "*_failed",
        "*_error",
        "*_timeout",
        "task.lease_lost",
        "policy.action_denied",
        "task.completed",
        "connector.delivered",
    ),
    open="brain.immune.tasks:open_component",
    provides={"HealthReports": "brain.immune.reports:health_reports"},
)
