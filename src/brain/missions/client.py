"""The tasks of missions over HTTP, for agents in other processes and on other machines; as `MissionService`."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import msgspec

from brain.errors import BrainError, Conflict, InvalidInput, NotFound, Unavailable
from brain.extras import needs
from brain.kit.leases import LeaseLost
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.finishing import Answer
from brain.typed import ready

with needs(__name__, "connectors"):
    import httpx

_ERRORS: dict[int, type[BrainError]] = {404: NotFound, 422: InvalidInput, 400: InvalidInput, 401: InvalidInput}


class MissionClient:
    """Leases and finishes tasks of the server at `url`. Use it as an async context manager.

    Methods raise what the service raises: LeaseLost, NotFound, InvalidInput; Unavailable when it can be tried again.
    """

    def __init__(self, url: str, api_key: str | None = None, timeout: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._timeout = timeout
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> MissionClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def lease(self, wanted: Wanted, wait: float = 0.0) -> list[ClaimedTask]:
        """Tasks for an agent; waits up to so many seconds, at most 20, for the first one."""
        body = {
            "agent_id": wanted.agent,
            "capabilities": sorted(wanted.capabilities),
            "types": sorted(wanted.types),
            "most": wanted.most,
            "lease_seconds": wanted.seconds,
            "wait_seconds": min(wait, 20.0),
        }
        found = await self._post("/api/tasks/lease", body, self._timeout + wait)
        return [msgspec.convert(one, ready(ClaimedTask)) for one in found]

    async def heartbeat(self, task: str, token: int, seconds: float = 0, progress: float | None = None) -> Answer:
        """Hold the task for longer; whether the agent must stop."""
        more = {"lease_seconds": seconds} if seconds else {}
        answer = await self._post(f"/api/tasks/{task}/heartbeat", {"token": token, "progress": progress, **more})
        return msgspec.convert(answer, ready(Answer))

    async def complete(self, task: str, token: int, result: Any = None) -> None:
        """The task is done."""
        await self._post(f"/api/tasks/{task}/complete", {"token": token, "result": result})

    async def fail(self, task: str, token: int, error: str, retry: bool = True) -> None:
        """This try failed."""
        await self._post(f"/api/tasks/{task}/fail", {"token": token, "error": error, "retry": retry})

    async def give_back(self, task: str, token: int) -> None:
        """The agent does not go on and did nothing, or acknowledges that it must stop."""
        await self._post(f"/api/tasks/{task}/give-back", {"token": token})

    async def _post(self, path: str, body: dict[str, Any], timeout: float | None = None) -> Any:
        try:
            answer = await self._http.post(path, json=body, timeout=timeout or self._timeout)
        except httpx.HTTPError as error:
            raise Unavailable(f"missions at {self._http.base_url}: {type(error).__name__} {error}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _error(answer)


def _error(answer: httpx.Response) -> BrainError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    words = str(problem.get("detail") or answer.text[:200] or answer.reason_phrase)
    if answer.status_code == 409:
        return (LeaseLost if problem.get("title") == LeaseLost.title else Conflict)(words)
    return _ERRORS.get(answer.status_code, Unavailable)(words)
