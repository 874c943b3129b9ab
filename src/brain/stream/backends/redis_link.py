"""What the Redis backend talks through: the client, its scripts, and errors as the stream knows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from brain.errors import BrainError, Unavailable
from brain.redis_client.connect import Gate, connect
from brain.redis_client.errors import explained
from brain.redis_client.url import RedisUrl, parse
from brain.stream.backends import Fenced, MarkMismatch, NoGroup
from brain.stream.backends.redis_scripts import SCRIPTS

REPLY_TIMEOUT = 5.0
"""Seconds before a silent server means Unavailable. The URL may say otherwise: `?socket_timeout=0.5`."""


class Link:
    """Thread-safe through the client's connection pool: a call takes a connection and gives it back."""

    def __init__(self, url: str) -> None:
        self.place: RedisUrl = parse(url)
        self.reply_timeout: float = float(str(self.place.options.get("socket_timeout", REPLY_TIMEOUT)))
        self._gate = Gate()
        self.client: redis.Redis = connect(self.place, REPLY_TIMEOUT, self._gate)
        for command in ("XREADGROUP", "XREAD", "XRANGE", "XREVRANGE"):
            self.client.set_response_callback(command, _raw)
        self._scripts = {name: self.client.register_script(text) for name, text in SCRIPTS.items()}

    def run(
        self, script: str, keys: Sequence[str], args: Sequence[Any], meanwhile: Callable[[], None] | None = None
    ) -> Any:
        """The script's answer; `meanwhile` is something to do until it comes."""
        called = self._scripts[script]
        command = ("EVALSHA", called.sha, len(keys), *keys, *args)
        try:
            return self.ask(command, meanwhile=meanwhile)[0]
        except redis.exceptions.NoScriptError:
            self.client.script_load(called.script)
            return self.ask(command)[0]

    def ask(self, *commands: Sequence[Any], meanwhile: Callable[[], None] | None = None) -> list[Any]:
        """The answers to commands that are sent together, as they come, at a third of the cost of a client's pipeline.

        Raises the first error that the server answers with; the other commands are carried out all the same.
        """
        pool = self.client.connection_pool
        connection = pool.get_connection()
        try:
            connection.send_packed_command(connection.pack_commands(commands))
            if meanwhile is not None:
                meanwhile()
            answers = [_answer(connection) for _ in commands]
        except BaseException:
            connection.disconnect()  # an answer that comes late must not be taken for that to another command
            raise
        finally:
            pool.release(connection)
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
        return answers

    def close(self) -> None:
        """Cut all connections, also those that another thread is waiting on."""
        self._gate.closed = True
        self.client.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Redis' errors as ours; a script's own refusal starts with its name."""
        if self._gate.closed:
            raise Unavailable(f"{self.place.where}: the stream is closed")
        try:
            yield
        except BrainError:
            raise
        except Exception as error:
            if self._gate.closed:  # redis-py may raise anything when it finds its parts gone
                raise Unavailable(f"{self.place.where}: the stream was closed meanwhile") from None
            if not isinstance(error, redis.RedisError):
                raise
            text = str(error)
            if text.startswith("MARK"):
                raise MarkMismatch(text[5:]) from None
            if text.startswith("FENCED"):
                raise Fenced(text[7:]) from None
            if any(sign in text for sign in ("NOGROUP", "requires the key to exist", "no such key")):
                raise NoGroup("the consumer group does not exist on Redis") from None
            raise Unavailable(explained(error, self.place)) from error


def _answer(connection: Any) -> Any:
    """The next answer, also where it is an error."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _raw(response: Any, **_: object) -> Any:
    return response
