"""What guards read of a request: its path, and the texts of its query. Nothing here trusts a header."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from brain.policy.guards.paths import resolved


def routed_path(connection: HTTPConnection) -> str:
    """The path that the application routes by, below its own `root_path`; those of mounted applications stay in it.

    It is the one of the request line. `request.url` is made from the Host header too, and older releases of Starlette
    let that header move the path.
    """
    scope = connection.scope
    path: str = scope["path"]
    root: str = scope.get("app_root_path", scope.get("root_path", ""))
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    return path or "/"


def readings(path: str) -> list[str]:
    """The path, and where it differs the one that a server of files takes it for: without `//`, `.` and `..`."""
    return list(dict.fromkeys((path, resolved(path))))


def query_texts(connection: HTTPConnection) -> dict[str, Any]:
    """The query's parameters as texts; one that is repeated as a list of them."""
    found: dict[str, list[str]] = {}
    for name, text in connection.query_params.multi_items():
        found.setdefault(name, []).append(text)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}
