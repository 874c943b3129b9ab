"""The incidents plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="incidents",
    purpose="Opens one incident for each correlation id that needs a person, and keeps its tickets up to date.",
    events="brain.incidents.events",
    settings="brain.incidents.settings:IncidentSettings",
    listens=("*",),
    open="brain.incidents.component:open_component",
    commands={
        "incidents": Command("brain.incidents.commands:app", "Incidents: list, show, open, move, assign, add notes."),
    },
)
