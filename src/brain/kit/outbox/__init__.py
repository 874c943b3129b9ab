"""The outbox: messages to outside services, written with the effects that cause them and sent by a dispatcher.

A consumer calls `put` in the transaction of the effect: both are kept, or neither. The
`Dispatcher` sends the rows later, until the service has answered. A process that dies after the service's answer and
before the row was marked sends that row AGAIN: what makes that harmless is the vendor's own key (PagerDuty's
dedup_key, a label or correlation_id searched before creating), which every `deliver` must derive from the row and
never invent again. Where a vendor has none (Slack, plain webhooks), a message may come twice, and is never lost.
"""

from brain.kit.outbox.dispatcher import Dispatcher, DispatchOptions
from brain.kit.outbox.events import EVENTS_CHANNEL, publish_row, publish_waiting, put_event
from brain.kit.outbox.prometheus import outbox_metrics
from brain.kit.outbox.table import (
    ChannelState,
    Message,
    OutboxRow,
    OutboxState,
    cancel,
    channels,
    metadata,
    outbox,
    prune,
    put,
    retry_refused,
)

__all__ = [
    "EVENTS_CHANNEL",
    "ChannelState",
    "DispatchOptions",
    "Dispatcher",
    "Message",
    "OutboxRow",
    "OutboxState",
    "cancel",
    "channels",
    "metadata",
    "outbox",
    "outbox_metrics",
    "prune",
    "publish_row",
    "publish_waiting",
    "put",
    "put_event",
    "retry_refused",
]
