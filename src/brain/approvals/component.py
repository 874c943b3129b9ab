"""The plug-in opened: the page behind the links, and the tasks that send them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client.core import Metric

from brain.approvals.answers import Answers
from brain.approvals.links import Links, base_url
from brain.approvals.page import answer_page
from brain.approvals.plugin import PLUGIN
from brain.approvals.sending import CONSUMER, LinkDelivery, LinkProjector
from brain.approvals.settings import ApprovalsSettings
from brain.errors import InvalidInput
from brain.kit.outbox import Dispatcher, DispatchOptions, EventShipping, outbox_metrics
from brain.kit.projection import Projection
from brain.kit.protocols import ApprovalRequests, Notifiers, PublicUrls
from brain.plugins import Component, PluginContext
from brain.store.deletion_clock import deletion_clock

_SEND_SECONDS = 30.0


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """The plug-in on these parts; without people in the settings it does nothing.

    Raises InvalidInput for a notifier that is not there, and without a public URL.
    """
    people = context.table(ApprovalsSettings).people
    requests = context.find(ApprovalRequests)
    if not people or requests is None:
        yield Component()
        return
    found = context.find(PublicUrls)
    base = base_url(() if found is None else found.urls())
    links = Links(context.store)
    notifiers = context.find(Notifiers)
    try:
        _check_notifiers([person.notifier for person in people.values()], notifiers)
        page = answer_page(Answers(links, requests, people, context.stream))
        if notifiers is None:
            yield Component(open_page=page)
            return
        projection = Projection(context, PLUGIN.group, LinkProjector(people).apply, pattern=PLUGIN.listens)
        delivery = LinkDelivery(people, requests, notifiers, links, base)
        dispatcher = Dispatcher(
            context.database,
            CONSUMER,
            delivery.deliver,
            outcomes=delivery,
            options=DispatchOptions(
                timeout=_SEND_SECONDS, lease=2 * _SEND_SECONDS, deletion_clock=deletion_clock(context.store)
            ),
        )
        shipping = EventShipping(context.database, CONSUMER, context.stream)

        def metrics() -> Sequence[Metric]:
            return outbox_metrics(dispatcher, shipping)

        yield Component(tasks=(projection.run, dispatcher.run, shipping.run), metrics=metrics, open_page=page)
    finally:
        await asyncio.to_thread(requests.close)
        if notifiers is not None:
            await notifiers.close()


def _check_notifiers(wanted: Sequence[str], notifiers: Notifiers | None) -> None:
    known = () if notifiers is None else notifiers.names()
    for name in wanted:
        if name and name not in known:
            raise InvalidInput(
                f"approvals.people: there is no notifier {name!r} in [alerting.notifiers]; there are "
                f"{', '.join(sorted(known)) or 'none'}"
            )
