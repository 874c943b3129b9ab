"""Hostile texts through the real package apprise to a server of ours: no service is told to call anybody."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from brain.connectors.apprise import Apprise, AppriseSettings
from brain.connectors.sender import Sender

TEXT = (
    "@everyone @here @channel @all @room <@123> <@&5> <!here> <users/all> <at>ann</at> [bank](https://x.example) "
    "mail ann@x.example *bold* <b>x</b> 1 < 2 @ 3"
)
CALLS = re.compile(r"@(?:everyone|here|channel|all|room|\w)|<[@!&]|<users/|<at>|\]\(|<b>x")
SERVICES = {
    "discord": "discord://1234567890/abcdefghijklmnop",
    "telegram": "tgram://123456789:abcdefghijklmnopqrstuvwxyz012345678/12345/",
    "google_chat": "gchat://workspace/key/token",
    "mattermost": "mmost://HERE/abcdef0123456789abcdef0123",
    "rocketchat": "rocket://web/hook@HERE/%23general",
    "json": "json://HERE/x",
}
"""A service of each kind; those that are at one place alone are told that it is here."""


class Received(list[Any]):
    """What came, as JSON."""

    address = ""


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[Received]:
    found = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"ok": true, "result": []}')

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"127.0.0.1:{server.server_address[1]}"
    for name, kind in (
        ("discord", "NotifyDiscord"),
        ("telegram", "NotifyTelegram"),
        ("google_chat", "NotifyGoogleChat"),
    ):
        module = pytest.importorskip(f"apprise.plugins.{name}")
        monkeypatch.setattr(getattr(module, kind), "notify_url", f"http://{found.address}/")
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("name", SERVICES)
async def test_nobody_is_called(name: str, received: Received) -> None:
    url = SERVICES[name].replace("HERE", received.address)
    settings = AppriseSettings.model_validate({"kind": "apprise", "url": url})
    await Apprise(settings, Sender()).notify(TEXT, TEXT, "HIGH")
    assert received
    for text in _texts(received[0]):
        text = text.replace("<b>＠", "＠").replace("</b>", "")  # Telegram's own, around the title
        assert CALLS.search(text) is None, text
    assert "everyone" in json.dumps(received)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) and not value.startswith("http"):
        yield value
    for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(member)
