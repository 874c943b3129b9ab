"""The incidents plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="incidents",
    purpose="Opens one incident for each correlation id that needs a person, and keeps its tickets up to date.",
    events="brain.incidents.events",
    settings="brain.incidents.settings:IncidentSettings",
    listens=("*",),
    open="brain.incidents.http:open_component",
    commands={"incidents": "brain.incidents.commands:app"},
)
