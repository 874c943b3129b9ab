"""The routes of registered agents: `/api/access/agents`, and the handshake `POST /api/agents/session`."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, status

from brain.access.agent_models import SIGNATURE
from brain.access.agent_sessions import issue
from brain.access.agents import Agents
from brain.access.http_models import AgentKeyView, AgentSessionView, NewAgentBody
from brain.charter import current_principal
from brain.errors import Forbidden
from brain.kit.http import creates_nothing

AgentIdPath = Annotated[str, Path(max_length=200, description="The agent's id.")]
_NO_KEY = creates_nothing("a session is given for one signature, and its answer is kept nowhere")
_REGISTERS = creates_nothing("an agent is registered once; a second time is a conflict")


def agents_router(agents: Agents) -> APIRouter:
    """The routes over these agents."""
    router = APIRouter(tags=["access"])

    @router.get("/access/agents", response_model=list[AgentKeyView], summary="All registered agents, by id")
    async def list_agents() -> list[dict[str, Any]]:
        found, uses = await asyncio.to_thread(lambda: (agents.list(), agents.last_uses()))
        return [{**_view(agent), "last_used_at": uses.get(agent.id)} for agent in found]

    @router.post(
        "/access/agents",
        status_code=status.HTTP_201_CREATED,
        response_model=AgentKeyView,
        summary="Register an agent with its Ed25519 key, or as the subject of an issuer",
        openapi_extra=_REGISTERS,
    )
    async def register(body: NewAgentBody) -> dict[str, Any]:
        if body.public_key is not None:
            return _view(await asyncio.to_thread(agents.register, body.agent_id, body.public_key))
        issuer, subject = body.issuer or "", body.subject or ""
        return _view(await asyncio.to_thread(agents.register_by_issuer, body.agent_id, issuer, subject))

    @router.delete(
        "/access/agents/{agent_id:path}", response_model=AgentKeyView, summary="Retire an agent's key and sessions"
    )
    async def retire(agent_id: AgentIdPath) -> dict[str, Any]:
        return _view(await asyncio.to_thread(agents.retire, agent_id))

    @router.post(
        "/agents/session",
        status_code=status.HTTP_201_CREATED,
        response_model=AgentSessionView,
        summary="Give a short session for a signed request",
        openapi_extra=_NO_KEY,
    )
    async def session() -> dict[str, Any]:
        """Sign this request with the agent's key (RFC 9421). The session is a bearer, bound to the address."""
        who = current_principal()
        if who is None or who.how != SIGNATURE or who.keyid is None:
            raise Forbidden("session: no registered agent signed this request; docs/identity.md shows how")
        secret = await asyncio.to_thread(agents.session_secret)
        token, end = issue(secret, who.keyid, who.address, time.time())
        return {"agent_id": who.name, "session": token, "expires_at": end}

    return router


def _view(agent: Any) -> dict[str, Any]:
    names = ("keyid", "issuer", "subject", "registered_at", "registered_by", "retired_at")
    return {"agent_id": agent.id, **{name: getattr(agent, name) for name in names}}
