"""The driver `http`: a robot, or the program on it, that takes movements and stops as POST requests.

    POST <url>/command  {"robot_id", "command_id", "lease_token", "seq", "linear_x", "linear_y", "angular_z",
                         "deadman_seconds"}
    POST <url>/stop     {"robot_id", "reason"}
    GET  <url>/state    an object, such as {"battery_percentage": 81.5}; 404 where there is none

Any 2xx means that it took it. The robot should stand still by itself `deadman_seconds` after the last command, and
refuse a `lease_token` or a `seq` that is lower than one that it has seen: it then is safe also when this server dies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from brain.connectors.urls import BaseUrl
from brain.errors import Unavailable
from brain.extras import needs
from brain.hardware.drivers import Driver, DriverSettings
from brain.secret import Secret

if TYPE_CHECKING:
    import httpx

    from brain.hardware.models import RobotCommand, StopReason


class HttpSettings(DriverSettings):
    """Where the robot listens."""

    url: BaseUrl = Field(description="Its address")
    token: Secret | None = Field(default=None, description="Sent as a bearer token")
    deadman_seconds: float = Field(default=0.5, gt=0, le=60, description="After which the robot should stop by itself")


class HttpDriver(Driver[HttpSettings]):
    """Movements and stops go over connections of their own, so that a stop waits for no movement."""

    settings_model: ClassVar[type[DriverSettings]] = HttpSettings
    _moving: httpx.AsyncClient
    _stopping: httpx.AsyncClient

    def prepare(self) -> None:
        """Load the HTTP client. Raises MissingExtra."""
        with needs("robot driver 'http'", "connectors"):
            import httpx
        self._moving, self._stopping = (httpx.AsyncClient(timeout=2.0, trust_env=False) for _ in range(2))

    async def send(self, command: RobotCommand, seq: int) -> None:
        """POST the movement. Raises Unavailable when the robot does not answer, or not with 2xx."""
        movement = command.movement
        body = {
            "robot_id": self.robot,
            "command_id": command.id,
            "lease_token": command.token,
            "seq": seq,
            "linear_x": movement.linear_x,
            "linear_y": movement.linear_y,
            "angular_z": movement.angular_z,
            "deadman_seconds": self.settings.deadman_seconds,
        }
        await self._post(self._moving, "command", body)

    async def stop(self, reason: StopReason) -> None:
        """POST the stop. Raises Unavailable likewise."""
        await self._post(self._stopping, "stop", {"robot_id": self.robot, "reason": reason.value})

    async def state(self) -> Mapping[str, Any] | None:
        """What GET answers. Raises Unavailable."""
        answer = await self._request(self._moving, "GET", "state", None)
        if answer.status_code == 404:
            return None
        found = self._checked(answer).json()
        return found if isinstance(found, dict) else None

    async def close(self) -> None:
        """Close the connections."""
        await self._moving.aclose()
        await self._stopping.aclose()

    async def _post(self, client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> None:
        self._checked(await self._request(client, "POST", path, body))

    async def _request(
        self, client: httpx.AsyncClient, method: str, path: str, body: Mapping[str, Any] | None
    ) -> httpx.Response:
        import httpx

        token = self.settings.token
        headers = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
        try:
            return await client.request(method, f"{self.settings.url}/{path}", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise Unavailable(f"robot {self.robot}: {self.settings.url} does not answer: {error!r}") from error

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if not answer.is_success:
            words = answer.text[:200]
            raise Unavailable(f"robot {self.robot}: {self.settings.url} answered {answer.status_code}: {words}")
        return answer
