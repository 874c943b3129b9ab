"""The outbox: messages to outside services, written with the effects that cause them and sent by a dispatcher.

A consumer calls `put` in the transaction of the effect: both are kept, or neither. The
`Dispatcher` sends the rows later, until the service has answered. A process that dies after the service's answer and
before the row was marked sends that row AGAIN: what makes that harmless is the vendor's own key (PagerDuty's
dedup_key, a label or correlation_id searched before creating), which every `deliver` must derive from the row and
never invent again. Where a vendor has none (Slack, plain webhooks), a message may come twice, and is never lost.

Events of changes have rows of their own (`put_event`), which come to the stream once (`EventShipping`). So have reports
to threats and immune (`put_health`, `put_threat`), which are in effect once (`ReportDelivery`).
"""

from typing import TYPE_CHECKING

from brain.exports import lazy
from brain.kit.outbox.events import EventShipping, events_topic, put_encoded, put_event, ship_waiting, waiting_events
from brain.kit.outbox.news import news_of
from brain.kit.outbox.reports import put_health, put_threat
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
    from brain.kit.outbox.prometheus import outbox_metrics, shipping_metrics
    from brain.kit.outbox.reporting import ReportDelivery, send_waiting
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.kit.outbox.dispatcher": ["DispatchOptions", "Dispatcher", "Outcomes"],
            "brain.kit.outbox.prometheus": ["outbox_metrics", "shipping_metrics"],
            "brain.kit.outbox.reporting": ["ReportDelivery", "send_waiting"],
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
    "ReportDelivery",
    "cancel",
    "channels",
    "events",
    "events_topic",
    "metadata",
    "news_of",
    "outbox",
    "outbox_metrics",
    "prune",
    "put",
    "put_encoded",
    "put_event",
    "put_health",
    "put_threat",
    "retry_refused",
    "send_waiting",
    "ship_waiting",
    "shipping_metrics",
    "waiting_events",
]
