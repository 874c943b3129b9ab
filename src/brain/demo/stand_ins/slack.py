"""Slack's incoming webhooks.

Source: docs.slack.dev, "Sending messages using incoming webhooks"; the error words and their statuses as in Slack's
changelog of 2016-05-17, "Improving error conditions for Incoming Webhooks"; block limits from its Block Kit reference.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

_LIMITS = {"header": 150, "section": 3000}


class SlackStandIn(StandIn):
    """Takes messages at `/services/T.../B.../...`; anything below another team's path does not exist."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__(
            "Slack",
            "https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
            [Route("/services/{team}/{hook}/{token}", self._hook, methods=["POST"])],
            things=lambda: self.messages,
        )

    def reset(self) -> None:
        super().reset()
        self.messages.clear()

    async def _hook(self, request: Request) -> Response:
        message = read_json(await request.body())
        words, status = judge(request.path_params["team"], message)
        if status == 200:
            self.messages.append(message)
        return self.answer(request, message, status, words, path="/services/***")


def judge(team: str, message: Any) -> tuple[str, int]:
    """Slack's word and status for a message."""
    if not team.startswith("T"):
        return "no_team", 404
    if not isinstance(message, dict):
        return "invalid_payload", 400
    blocks = message.get("blocks", [])
    if not message.get("text") and not blocks:
        return "no_text", 400
    if not isinstance(blocks, list) or len(blocks) > 50 or not all(map(_is_block, blocks)):
        return "invalid_blocks", 400
    return "ok", 200


def _is_block(block: Any) -> bool:
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    text = block.get("text")
    longest = _LIMITS.get(block["type"], 3000)
    if text is not None and (not isinstance(text, dict) or not 0 < len(text.get("text", "")) <= longest):
        return False
    fields = block.get("fields", [])
    return len(fields) <= 10 and all(0 < len(field.get("text", "")) <= 2000 for field in fields)
