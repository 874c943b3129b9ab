"""The immune plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="immune",
    purpose="Keeps the fleet's health events, and runs healing actions for the critical ones.",
    events="brain.immune.events",
    open="brain.immune.tasks:open_component",
    provides={"HealthReports": "brain.immune.reports:health_reports"},
)
