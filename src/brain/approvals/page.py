"""The page behind a link. To open it changes nothing, since mail scanners and previews do: only its buttons answer.

It works without scripts. Its address is the secret: it is neither kept by browsers' caches nor sent on to others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from brain import limits
from brain.approvals.answers import Answers, Opened
from brain.approvals.links import PATH
from brain.kit.protocols import AskedApproval
from brain.neutral import plain_text
from brain.text import clip_text

_STYLE = Path(__file__).parent / "answer.css"
_SHOWN = 4000
"""Letters of what an agent wants to do that are shown."""
_HEADERS = {"Referrer-Policy": "same-origin", "X-Robots-Tag": "noindex", "Cache-Control": "no-store"}
"""With `no-referrer` browsers send no Origin with the form, and the server would refuse it as another site's."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - BRAiN EventStream</title>
<script src="/static/theme.js"></script>
<link rel="stylesheet" href="/static/theme.css"><link rel="stylesheet" href="{path}answer.css"></head>
<body><main><h1>{title}</h1>
{body}
</main></body></html>
"""
_FORM = """<form method="post">
<p>You answer as <strong>{name}</strong>. The link counts once.</p>
<label for="reason">Reason (may be empty)</label>
<textarea id="reason" name="reason" rows="3" maxlength="{most}"></textarea>
<p class="answers"><button name="answer" value="grant">Agree</button>
<button name="answer" value="refuse" class="refuse">Refuse</button></p>
</form>"""
_ANSWERS: Mapping[str, bool] = {"grant": True, "refuse": False}


def answer_page(answers: Answers) -> ASGIApp:
    """The page, below its own path."""

    async def show(request: Request) -> Response:
        opened = await asyncio.to_thread(answers.open, request.path_params["token"])
        return _refusal(opened) if opened.fault is not None else _question(opened)

    async def take(request: Request) -> Response:
        try:
            given = parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True, max_num_fields=10)
        except ValueError:  # more fields than the form has
            given = {}
        agree = _ANSWERS.get(given.get("answer", [""])[0])
        reason = given.get("reason", [""])[0].strip()
        if agree is None:
            return _page("No answer was given", '<p role="alert">Use one of the two buttons.</p>', 422)
        if (fault := limits.text_fault(reason, limits.TEXT)) is not None:
            return _page("No answer was given", f'<p role="alert">The reason {_shown(fault)}.</p>', 422)
        token = request.path_params["token"]
        opened = await asyncio.to_thread(lambda: answers.answer(token, agree=agree, reason=reason))
        return _refusal(opened) if opened.fault is not None else _done(opened, agree)

    async def style(request: Request) -> Response:
        return FileResponse(_STYLE, media_type="text/css", headers={"Cache-Control": "no-cache"})

    routes = [
        Route("/answer.css", style, methods=["GET"]),
        Route("/{token}", show, methods=["GET"]),
        Route("/{token}", take, methods=["POST"]),
    ]
    return Router(routes)


def _question(opened: Opened) -> Response:
    assert opened.asked is not None
    assert opened.link is not None
    form = _FORM.format(name=_shown(opened.link.name), most=limits.TEXT)
    return _page("An agent asks for approval", _details(opened.asked) + form)


def _done(opened: Opened, agree: bool) -> Response:
    assert opened.asked is not None
    said = "You agreed." if agree else "You refused."
    more = opened.asked.needed - len(opened.asked.agreed)
    if agree and opened.asked.is_open:
        said += f" {more} more must agree."
    return _page("Your answer was taken", f'<p role="status">{said}</p>' + _details(opened.asked))


def _refusal(opened: Opened) -> Response:
    note = f'<p role="alert">Why: {_shown(opened.fault or "")}.</p>'
    shown = "" if opened.asked is None or opened.status == 403 else _details(opened.asked)
    return _page("This link does not count", note + shown, opened.status)


def _details(asked: AskedApproval) -> str:
    agreed = f"{len(asked.agreed)} of {asked.needed}" + (f" ({', '.join(asked.agreed)})" if asked.agreed else "")
    rows = {
        "Agent": asked.agent,
        "Action": asked.action,
        "Resource": asked.resource,
        "Arguments": json.dumps(asked.params, ensure_ascii=False, indent=2, default=str) if asked.params else "",
        "Why a person is asked": asked.reason,
        "Asked by": asked.requested_by or "",
        "Asked": _moment(asked.requested_at),
        "Answer until": _moment(asked.expires_at),
        "Agreed so far": agreed,
        "State": asked.status,
        "Request": asked.id,
    }
    shown = "".join(f"<dt>{name}</dt><dd>{_shown(text)}</dd>" for name, text in rows.items() if text)
    return f"<dl>{shown}</dl>"


def _shown(text: str) -> str:
    """Text of agents and people, as text alone."""
    return escape(plain_text(clip_text(text, _SHOWN)))


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _page(title: str, body: str, status: int = 200) -> Response:
    return HTMLResponse(_PAGE.format(title=title, body=body, path=PATH), status, headers=_HEADERS)
