"""Passwords, tokens and keys in the settings: as text, or better the name of a variable or file that holds them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from brain.errors import InvalidInput

_FORMS = 'write it as text, {env = "NAME"} or {file = "path"}'
_SHOWN = "***"


class Secret:
    """A secret value; its repr, its JSON and the errors about it never show it.

    It is looked up at each use, so that a file that is written again (a rotated token) is followed without a restart.
    """

    __slots__ = ("_env", "_file", "_text")

    def __init__(self, text: str | None = None, *, env: str | None = None, file: str | Path | None = None) -> None:
        """Exactly one of them, not empty. Raises InvalidInput otherwise."""
        if [bool(text), bool(env), bool(file)].count(True) != 1:
            raise InvalidInput(f"secret: {_FORMS}; exactly one of them, not empty")
        self._text = text
        self._env = env
        self._file = Path(file) if file else None

    @property
    def env(self) -> str | None:
        """The environment variable that holds it, where one does."""
        return self._env

    def reveal(self) -> str:
        """The value itself, for the request that needs it; white space around it in a file is not part of it.

        Raises InvalidInput when the variable or file is missing or empty.
        """
        if self._text is not None:
            return self._text
        if self._env is not None:
            value = os.environ.get(self._env, "")
            if not value:
                raise InvalidInput(f"secret: the environment variable {self._env} is not set, or empty; set it")
            return value
        assert self._file is not None
        try:
            value = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            raise InvalidInput(f"secret: the file {self._file} cannot be read: {why}") from None
        if not value:
            raise InvalidInput(f"secret: the file {self._file} is empty; write the value into it")
        return value

    def __repr__(self) -> str:
        if self._env is not None:
            return f"Secret(env={self._env!r})"
        return f"Secret(file={str(self._file)!r})" if self._file is not None else f"Secret({_SHOWN!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._text, self._env, self._file) == (other._text, other._env, other._file)

    def __hash__(self) -> int:
        return hash((self._text, self._env, self._file))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(lambda secret: _SHOWN)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        named = {
            "type": "object",
            "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "string", "writeOnly": True}, named]}

    @classmethod
    def _validate(cls, value: object) -> Secret:
        """For pydantic, which wants ValueError; what was given is never in the message."""
        if isinstance(value, Secret):
            return value
        try:
            if isinstance(value, str):
                return cls(value)
            if isinstance(value, Mapping) and set(value) <= {"env", "file"} and all(map(_is_text, value.values())):
                return cls(**value)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        raise ValueError(_FORMS)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def secret_faults(value: object, place: str = "") -> Iterator[str]:
    """What is wrong with each secret in a part of the settings: its field, and the variable or file that lacks it."""
    if isinstance(value, Secret):
        try:
            value.reveal()
        except InvalidInput as error:
            yield from (f"{place}: {fault.removeprefix('secret: ')}" for fault in error.faults)
        return
    parts: Iterable[tuple[object, object]] = ()
    if isinstance(value, BaseModel):
        parts = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    for name, part in parts:
        yield from secret_faults(part, f"{place}.{name}" if place else str(name))
