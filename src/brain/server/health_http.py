"""`/healthz`, `/readyz` and `/metrics` as the OpenAPI document has them. They are answered before FastAPI."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from brain.server.health import OPENMETRICS, Endpoints


class Health(BaseModel):
    """Whether the process lives."""

    status: str = Field(examples=["ok"])


class Readiness(BaseModel):
    """Whether it can work, part by part."""

    status: str = Field(description="ready, or unready when any part is", examples=["ready"])
    checks: dict[str, str] = Field(description="Each part: ok, or what is wrong", examples=[{"stream": "ok"}])


def health_router(endpoints: Endpoints) -> APIRouter:
    """The three routes."""
    router = APIRouter(tags=["operation"])
    router.get("/healthz", response_model=Health, summary="The process lives")(endpoints.healthz)
    router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}}, summary="All parts answer")(
        endpoints.readyz
    )
    router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {OPENMETRICS: {"schema": {"type": "string"}}}}},
        summary="OpenMetrics for Prometheus",
    )(endpoints.metrics)
    return router
