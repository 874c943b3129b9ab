"""Connectors over HTTP, below /api/connectors, and the plug-in opened: its routes and its tasks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request

from brain import limits
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.doer import doer
from brain.kit.http import ANY_QUERY, PROBLEM_TYPE, creates_nothing, raw_body, signed
from brain.kit.idempotency import request_key
from brain.kit.protocols import EffectGuard
from brain.links.http_models import (
    AlertGroup,
    ConnectorDetail,
    ConnectorView,
    DeliveryDetail,
    DeliveryView,
    MessageView,
    NewMessage,
    Pausing,
    ReceiptView,
    Replaying,
    Resuming,
    TestView,
    connector_view,
    delivery_view,
    receipt_view,
)
from brain.links.models import DeliveryState
from brain.links.outbound import alert_groups, ask
from brain.links.service import ConnectorService
from brain.links.tasks import ConnectorTasks
from brain.links.testing import test_connector
from brain.links.webhooks import WebhookReceiver
from brain.times import parse_time

NamePath = Annotated[
    str, Path(max_length=limits.ID, description="The connector's name in the settings.", examples=["github"])
]
_NOTHING = creates_nothing("each item has a key of its sender's, and becomes an event once")
_SIGNED = signed("the sender signs it with the connector's secret")
_READS = creates_nothing("it asks how the connector is now")
_BAD_SIGNATURE: dict[int | str, dict[str, Any]] = {
    401: {
        "description": "The signature does not fit",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"examples": [{"zen": "."}]}}}}}


def connectors_router(
    service: ConnectorService, tasks: ConnectorTasks, receiver: WebhookReceiver, guard: EffectGuard | None
) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/connectors", tags=["connectors"])
    _add_reading(router, service)
    _add_alerts(router, tasks)
    _add_changing(router, service, tasks)
    _add_sending(router, service, guard)
    _add_webhook(router, receiver)
    return router


def _add_reading(router: APIRouter, service: ConnectorService) -> None:
    @router.get("", summary="List connectors", response_model=list[ConnectorView])
    async def listing() -> list[dict[str, Any]]:
        """Inbound ones first, then outbound ones, by name; today's notifiers and ticket systems are among them."""
        return [connector_view(one) for one in await for_reading(service.database, service.list)]

    @router.get("/{name}", summary="Get a connector", response_model=ConnectorDetail)
    async def get(name: NamePath) -> dict[str, Any]:
        """The connector, with the last STATE of a tap."""
        return connector_view(await for_reading(service.database, service.get, name))

    @router.get("/{name}/deliveries", summary="List deliveries", response_model=list[DeliveryView])
    async def deliveries(
        name: NamePath,
        state: Annotated[DeliveryState | None, Query(description="Only in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    ) -> list[dict[str, Any]]:
        """What came and is kept, the latest first."""
        found = await for_reading(service.database, service.deliveries, name, state, limit)
        return [delivery_view(row) for row in found]

    @router.get("/{name}/deliveries/{number}", summary="Get a delivery", response_model=DeliveryDetail)
    async def delivery(
        name: NamePath, number: Annotated[int, Path(ge=1, le=limits.COUNT, description="Its number.")]
    ) -> dict[str, Any]:
        """The delivery as it came."""
        row = await for_reading(service.database, service.delivery, name, number)
        return {**delivery_view(row), "headers": row.headers, "body": row.body.decode(errors="replace")}


def _add_alerts(router: APIRouter, tasks: ConnectorTasks) -> None:
    @router.get("/{name}/alerts", summary="Read an Alertmanager's alerts")
    async def alerts(name: NamePath) -> list[AlertGroup]:
        """The groups of the alerts that fire there now, read from its API v2. 404 for another kind of connector."""
        return [AlertGroup.model_validate(group) for group in await alert_groups(tasks.senders, name)]


def _add_changing(router: APIRouter, service: ConnectorService, tasks: ConnectorTasks) -> None:
    @router.post("/{name}/pause", summary="Pause a connector", response_model=ConnectorView)
    async def pause(name: NamePath, given: Pausing) -> dict[str, Any]:
        """What comes is kept and waits, and nothing is sent. Publishes `connector.stopped`."""
        return connector_view(await for_writing(service.database, service.pause, name, doer(given.by), given.reason))

    @router.post("/{name}/resume", summary="Resume a connector", response_model=ConnectorView)
    async def resume(name: NamePath, given: Resuming) -> dict[str, Any]:
        """What came meanwhile is mapped. Publishes `connector.started`."""
        return connector_view(await for_writing(service.database, service.resume, name, doer(given.by)))

    @router.post("/{name}/replay", summary="Map kept deliveries once more")
    async def replay(name: NamePath, given: Replaying) -> list[ReceiptView]:
        """Those that failed, by the mapping of now; with `again` also those that are events already."""
        if given.delivery is not None:
            one = await for_writing(service.database, service.replay_one, name, given.delivery, given.again)
            return [receipt_view(one)]
        since = 0.0 if given.since is None else parse_time(given.since, service.clock(), "since")
        states = (DeliveryState.FAILED, DeliveryState.WAITING, *((DeliveryState.MAPPED,) if given.again else ()))
        found = await for_writing(service.database, service.replay, name, states, since, given.again)
        return [receipt_view(receipt) for receipt in found]

    @router.post("/{name}/test", summary="Test a connector", openapi_extra=_READS)
    async def test(name: NamePath) -> TestView:
        """Whether its secrets can be read, or its service answers. Publishes `connector.health_check`."""
        status, detail, latency = await test_connector(service, tasks.senders, name)
        return TestView(status=status, detail=detail, latency_ms=latency)


def _add_sending(router: APIRouter, service: ConnectorService, guard: EffectGuard | None) -> None:
    @router.post("/{name}/send", status_code=202, summary="Send a message")
    async def send(name: NamePath, message: NewMessage) -> MessageView:
        """Asks the policy first: action `connector.send`, the connector as resource. Answers 403 when it denies.

        The message is kept and sent until the service accepts it; `connector.delivered` says so.
        """
        content = message.model_dump(mode="json")
        params = {"title": message.title, "characters": len(message.text), "severity": message.severity.value}
        await ask(guard, message.agent, name, {**params, "action": message.action.value})
        return MessageView(id=await for_writing(service.database, service.enqueue, name, content, request_key()))


def _add_webhook(router: APIRouter, receiver: WebhookReceiver) -> None:
    @router.post(
        "/{name}/webhook",
        status_code=202,
        summary="Deliver a webhook",
        openapi_extra={**_BODY, **ANY_QUERY, **_NOTHING, **_SIGNED, **raw_body()},
        responses=_BAD_SIGNATURE,
    )
    async def webhook(name: NamePath, request: Request) -> ReceiptView:
        """For the senders themselves: needs no API key, but the signature by the connector's secret.

        Answers once the delivery is on the disk. Answers 401 for a bad signature, 404 for a connector without a secret.
        """
        remote = request.client.host if request.client else "unknown"
        return receipt_view(await receiver.receive(name, request.headers, await request.body(), remote))
