"""The hardware plug-in, declared."""

from brain.plugins import Command, Plugin, View

PLUGIN = Plugin(
    name="hardware",
    purpose="Watches hosts and devices, and lets agents drive robots: one at a time, within bounds, until stopped.",
    events="brain.hardware.events",
    settings="brain.hardware.settings:HardwareSettings",
    listens=("policy.rule_created", "policy.rule_updated", "hardware.emergency_stop"),
    open="brain.hardware.component:open_component",
    commands={
        "hardware": Command("brain.hardware.commands:app", "Hardware: watch this host, list devices, stop robots."),
    },
    view=View("Hardware", "brain.hardware:page", section="Operate"),
)
