"""The outbox: messages to outside services, written with the effects that cause them and sent by a dispatcher.

A consumer calls `put` in the transaction of the effect: both are kept, or neither. The
`Dispatcher` sends the rows later, until the service has answered. A process that dies after the service's answer and
before the row was marked sends that row AGAIN: what makes that harmless is the vendor's own key (PagerDuty's
dedup_key, a label or correlation_id searched before creating), which every `deliver` must derive from the row and
never invent again. Where a vendor has none (Slack, plain webhooks), a message may come twice, and is never lost.

Events of changes have rows of their own (`put_event`), which come to the stream once (`EventShipping`).
"""

from typing import TYPE_CHECKING

from brain.exports import lazy
from brain.kit.outbox.events import EventShipping, put_event, ship_waiting, waiting_events
from brain.kit.outbox.table import (
    EVENTS_LABEL,
    ChannelState,
    Message,
    OutboxRow,
    OutboxState,
    cancel,
    channels,
    events,
    metadata,
    outbox,
    prune,
    put,
    retry_refused,
)

if TYPE_CHECKING:
    from brain.kit.outbox.dispatcher import Dispatcher, DispatchOptions, Outcomes
    from brain.kit.outbox.prometheus import outbox_metrics
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.kit.outbox.dispatcher": ["DispatchOptions", "Dispatcher", "Outcomes"],
            "brain.kit.outbox.prometheus": ["outbox_metrics"],
        },
    )

__all__ = [
    "EVENTS_LABEL",
    "ChannelState",
    "DispatchOptions",
    "Dispatcher",
    "EventShipping",
    "Message",
    "OutboxRow",
    "OutboxState",
    "Outcomes",
    "cancel",
    "channels",
    "events",
    "metadata",
    "outbox",
    "outbox_metrics",
    "prune",
    "put",
    "put_event",
    "retry_refused",
    "ship_waiting",
    "waiting_events",
]
