"""The threats plug-in, declared."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="threats",
    purpose="Keeps who attacks or misbehaves, and what is done about it.",
    events="brain.threats.events",
    open="brain.threats.http:open_component",
    commands={"threats": "brain.threats.commands.threats:app", "ingest": "brain.threats.commands.ingest:app"},
    provides={"ThreatMoves": "brain.threats.moves:threat_moves"},
)
