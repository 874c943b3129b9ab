"""The connectors plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="connectors",
    purpose="Takes data in by signed webhooks and Singer taps, sends messages out, and knows how each connector is.",
    events="brain.links.events",
    settings="brain.links.settings:ConnectorSettings",
    open="brain.links.component:open_component",
    commands={
        "connectors": Command(
            "brain.links.commands:app", "Connectors: list, show, pause, test and replay them; read Singer taps."
        ),
    },
    view=View("Connectors", "brain.links:page"),
)
