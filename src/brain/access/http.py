"""The routes below `/api/access`: the keys, and who is asking."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, status

from brain.access.agents import Agents
from brain.access.agents_http import agents_router
from brain.access.http_models import EndedView, KeyView, NewKeyBody, NewKeyView, PrincipalView, RotateBody, SessionView
from brain.access.models import Key
from brain.access.people import People
from brain.access.repository import Keys, NewKey
from brain.charter import current_principal
from brain.errors import Conflict
from brain.kit.http import creates_nothing

NamePath = Annotated[str, Path(max_length=64, description="The key's name.")]
PersonPath = Annotated[str, Path(max_length=200, description="The person's name, as sessions have it.")]
_SHOWN_ONCE = creates_nothing("a key is shown once, and its answer is kept nowhere")


def access_routes(keys: Keys, agents: Agents, people: People) -> APIRouter:
    """All routes of this plug-in."""
    router = APIRouter()
    router.include_router(access_router(keys))
    router.include_router(agents_router(agents))
    router.include_router(sessions_router(people))
    return router


def sessions_router(people: People) -> APIRouter:
    """The routes over the sessions of people."""
    router = APIRouter(prefix="/access/sessions", tags=["access"])

    @router.get("", response_model=list[SessionView], summary="The sessions of people that are not over")
    async def list_sessions() -> list[dict[str, Any]]:
        found = await asyncio.to_thread(people.list)
        return [{name: getattr(one, name) for name in SessionView.model_fields} for one in found]

    @router.delete("/{name:path}", response_model=EndedView, summary="End all sessions of a person")
    async def end_sessions(name: PersonPath) -> dict[str, int]:
        return {"ended": await asyncio.to_thread(people.end_all, name)}

    return router


def access_router(keys: Keys) -> APIRouter:
    """The routes over these keys."""
    router = APIRouter(prefix="/access", tags=["access"])

    @router.get("/me", response_model=PrincipalView, summary="Who the server takes you for")
    async def me() -> dict[str, Any]:
        who = current_principal()
        assert who is not None, "the server sets it for every request"
        return {**who.shown(), "role": who.role, "owner": who.owner}

    @router.get("/keys", response_model=list[KeyView], summary="All keys, by name")
    async def list_keys() -> list[dict[str, Any]]:
        found, uses = await asyncio.to_thread(lambda: (keys.list(), keys.last_uses()))
        return [{**_view(key), "last_used_at": uses.get(key.name)} for key in found]

    @router.post(
        "/keys",
        status_code=status.HTTP_201_CREATED,
        response_model=NewKeyView,
        summary="Make a key; it is shown this once",
        openapi_extra=_SHOWN_ONCE,
    )
    async def new_key(body: NewKeyBody) -> dict[str, Any]:
        who = current_principal()
        if who is None or who.how == "none":
            raise Conflict("keys: this server has none yet; make the first one by `brain keys new NAME --role admin`")
        made = await asyncio.to_thread(keys.new, **body.model_dump())
        return _shown(made)

    @router.post(
        "/keys/{name}/rotate",
        response_model=NewKeyView,
        summary="Replace a key; the new one is shown this once",
        openapi_extra=_SHOWN_ONCE,
    )
    async def rotate_key(name: NamePath, body: RotateBody) -> dict[str, Any]:
        return _shown(await asyncio.to_thread(keys.rotate, name, body.overlap, owner=body.owner))

    @router.delete("/keys/{name}", response_model=KeyView, summary="Revoke a key, for good")
    async def revoke_key(name: NamePath) -> dict[str, Any]:
        return _view(await asyncio.to_thread(keys.revoke, name))

    return router


def _view(key: Key) -> dict[str, Any]:
    return {name: getattr(key, name) for name in KeyView.model_fields if name != "last_used_at"}


def _shown(made: NewKey) -> dict[str, Any]:
    return {**_view(made.key), "key": made.secret}
