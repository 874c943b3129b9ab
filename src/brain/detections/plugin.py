"""The detections plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="detections",
    purpose="Finds attacks in the stream and in logs, by Sigma rules, correlations and learned baselines.",
    events="brain.detections.events",
    settings="brain.detections.settings:DetectionSettings",
    listens=("policy.*", "threat.*", "immune.*"),  # and what the operator's own rules are about
    open="brain.detections.http:open_component",
    commands={
        "detections": Command("brain.detections.commands:app", "Detections: check, test, list, try on the past.")
    },
)
