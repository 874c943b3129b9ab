"""The types that a mapping may make events of.

`connector.received`, types that nobody declares, and those that plug-ins of other packages declare. The types of this
package's own plug-ins are facts of theirs: what a sender writes must never look like a decision or a threat of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.charter import Event, EventType
from brain.errors import InvalidInput
from brain.links.events import RECEIVED
from brain.plugins import plugins

SOURCE = "connectors_service"
_OURS = "brain."


def check_type(name: str) -> None:
    """Raise InvalidInput for a type that no mapping may make."""
    if name == RECEIVED.name:
        return
    for plugin in plugins().values():
        if plugin.events is None or not plugin.events.startswith(_OURS):
            continue
        if any(declared.name == name for declared in plugin.event_types()):
            raise InvalidInput(f"type: {name} is announced by {plugin.name} alone; take a type of your own")


def declared_type(name: str) -> EventType[Any] | None:
    """The declaration of a type, where a plug-in has one."""
    for plugin in plugins().values():
        for declared in plugin.event_types():
            if declared.name == name:
                return declared
    return None


def mapped_event(name: str, fields: Mapping[str, Any], target: str | None, meta: Mapping[str, Any]) -> Event:
    """An event of a mapping's own type. Raises EnvelopeError for fields that do not fit its declaration."""
    declared = declared_type(name)
    if declared is not None:
        return declared.event(dict(fields), target=target, meta=meta)
    return Event(type=name, source=SOURCE, target=target, payload=dict(fields), meta=dict(meta))
