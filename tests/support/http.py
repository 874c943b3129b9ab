"""One module's router in an application of its own, with errors answered as the server answers them."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from brain.errors import BrainError


def client_of(router: APIRouter) -> TestClient:
    app = FastAPI()
    app.include_router(router, prefix="/api")

    @app.exception_handler(BrainError)
    async def problem(request: Request, error: BrainError) -> JSONResponse:
        return JSONResponse({"title": error.title, "detail": str(error)}, error.status)

    return TestClient(app)
