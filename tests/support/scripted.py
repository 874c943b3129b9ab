"""An HTTP server that gives the answers a test has written down, also broken ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Reply:
    """An answer; `drop` closes the connection in the middle of it, `trickle` pauses so many seconds at each byte."""

    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    trickle: float = 0.0


class ScriptedServer:
    """Answers each request with the next of `replies`, and keeps the requests as text."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[str] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
            body = await reader.readexactly(int(length[0])) if length else b""
            self.requests.append(head + body.decode())
            await self._answer(self.replies.pop(0), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client gave up, as some tests want it to
        finally:
            writer.close()

    async def _answer(self, reply: Reply, writer: asyncio.StreamWriter) -> None:
        if not reply.status:
            return
        body = reply.body.encode()
        length = len(body) + (100 if reply.drop else 0)
        head = {"Content-Length": str(length), "Connection": "close", **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        writer.write(f"HTTP/1.1 {reply.status} Status\r\n{lines}\r\n".encode())
        if not reply.trickle:
            writer.write(body)
        else:
            for byte in body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(reply.trickle)
        await writer.drain()
