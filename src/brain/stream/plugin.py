"""What the stream itself declares: its event types."""

from brain.plugins import Plugin

PLUGIN = Plugin(
    name="stream",
    purpose="The event stream itself: what it cannot delete.",
    events="brain.stream.events",
)
