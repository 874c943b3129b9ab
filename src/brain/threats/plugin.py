"""The threats plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="threats",
    purpose="Keeps threats from detection to resolution, and detects agents that are denied again and again.",
    events="brain.threats.events",
    open="brain.threats.tasks:open_component",
    commands={"threats": "brain.threats.commands.threats:app", "ingest": "brain.threats.commands.ingest:app"},
)
