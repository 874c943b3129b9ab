"""What is to be said to outside services: rows written with the effects that cause them, sent by a dispatcher.

A consumer calls `put` in the transaction in which it keeps what it made of its events: both are kept, or neither. The
`Dispatcher` sends the rows later, until the service has answered. A process that dies after the service's answer and
before the row was marked sends that row AGAIN: what makes that harmless is the vendor's own key (PagerDuty's
dedup_key, a label or correlation_id searched before creating), which every `deliver` must derive from the row and
never make up anew. Where a vendor has none (Slack, plain webhooks), a message may come twice, and is never lost.
"""

from brain.kit.outbox.dispatcher import Dispatcher, Dispatching
from brain.kit.outbox.prometheus import outbox_families
from brain.kit.outbox.table import (
    ChannelState,
    OutboxRow,
    State,
    cancel,
    channels,
    metadata,
    outbox,
    prune,
    put,
    retry_refused,
)

__all__ = [
    "ChannelState",
    "Dispatcher",
    "Dispatching",
    "OutboxRow",
    "State",
    "cancel",
    "channels",
    "metadata",
    "outbox",
    "outbox_families",
    "prune",
    "put",
    "retry_refused",
]
