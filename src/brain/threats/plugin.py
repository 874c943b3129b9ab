"""The threats plug-in, declared."""

from brain.plugins import Command, Plugin

PLUGIN = Plugin(
    name="threats",
    purpose="Keeps threats from detection to resolution, and detects agents that are denied again and again.",
    events="brain.threats.events",
    open="brain.threats.tasks:open_component",
    commands={
        "threats": Command("brain.threats.commands.threats:app", "Threats: list, show, assign, move and count them."),
        "ingest": Command("brain.threats.commands.ingest:app", "Turn logs into threats."),
    },
    provides={
        "ThreatMoves": "brain.threats.moves:threat_moves",
        "ThreatReports": "brain.threats.reports:threat_reports",
        "OpenThreatCounts": "brain.threats.counts:open_threat_counts",
    },
)
