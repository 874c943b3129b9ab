"""FastAPI as this server uses it. It is imported for the first request to the API: it takes a fifth of a start."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from brain import __version__
from brain.server import problems


class Framework(FastAPI):
    """The application that has the routes of the API. What fails unexpectedly is left to the server around it."""

    def __init__(self, methods: Callable[[str], Collection[str]], document: Callable[[], dict[str, Any]]) -> None:
        super().__init__(title="BRAiN EventStream", version=__version__, docs_url=None, redoc_url=None)
        problems.install(self, methods)
        self.add_exception_handler(RequestValidationError, _invalid)
        self._whole_document = document

    def openapi(self) -> dict[str, Any]:
        """The whole document."""
        return self._whole_document()

    def build_middleware_stack(self) -> ASGIApp:
        """Without the middleware that would answer an unexpected error before the server can."""
        stack = super().build_middleware_stack()
        return stack.app if isinstance(stack, ServerErrorMiddleware) else stack


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return problems.invalid(error.errors())
