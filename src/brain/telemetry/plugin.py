"""The telemetry plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="telemetry",
    purpose="Takes OpenTelemetry and live sources in: usage of models and tools by agent, windows, gaps, silence.",
    events="brain.telemetry.events",
    settings="brain.telemetry.settings:TelemetrySettings",
    open="brain.telemetry.component:open_component",
    commands={
        "telemetry": Command(
            "brain.telemetry.commands:app",
            "Telemetry: sources, usage, samples live; record and replay them.",
        ),
    },
    view=View("Telemetry", "brain.telemetry:page", section="Operate"),
)
