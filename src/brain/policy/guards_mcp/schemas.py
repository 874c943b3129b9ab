"""Input schemas as other people write them: nothing is fetched, patterns take linear time, sizes are bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from brain.errors import InvalidInput
from brain.regular_expressions import Pattern, re2

MAX_SCHEMA_DEPTH = 64
MAX_SCHEMA_BYTES = 256 * 1024
MAX_REFERENCES = 10_000
"""`$ref`s followed for one call: a schema of a few lines can ask for any number of them."""

_re2_options = re2.Options()
_re2_options.log_errors = False
_references_left: ContextVar[list[int]] = ContextVar("brain_mcp_references_left")


class ArgumentsRefused(InvalidInput):
    """The arguments do not fit the tool's input schema, or the schema cannot be used; `faults` name each place."""

    title = "Arguments refused"


class InputSchema:
    """A schema that can be asked, inside `at_work`, what it refers to and whether values fit it."""

    def __init__(self, schema: dict[str, Any]) -> None:
        from jsonschema import Draft202012Validator, FormatChecker
        from jsonschema.validators import validator_for
        from referencing import Registry
        from referencing.jsonschema import specification_with

        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema, format_checker=FormatChecker(formats=()))
        dialect = schema.pop("$schema", Draft202012Validator.META_SCHEMA["$id"])  # or the library goes by it later
        self.schema: Mapping[str, Any] = schema
        nothing_fetched: Any = Registry()
        self._resolver = nothing_fetched.resolver_with_root(specification_with(dialect).create_resource(schema))
        self._validator = _safe(kind)(schema, registry=nothing_fetched)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """For one call: what goes wrong with the schema is ArgumentsRefused, and references are counted."""
        token = _references_left.set([MAX_REFERENCES])
        try:
            yield
        except ArgumentsRefused:
            raise
        except RecursionError as error:
            raise ArgumentsRefused("input schema: it refers to itself without end") from error
        except Exception as error:  # the schema is another's: whatever its faults raise
            raise ArgumentsRefused(f"input schema: {_short(str(error))}") from error
        finally:
            _references_left.reset(token)

    def target(self, reference: str) -> Any:
        """The part of the schema that it refers to."""
        _count_reference()
        return self._resolver.lookup(reference).contents

    def fits(self, part: Any, value: Any) -> bool:
        """Whether the value fits that part of the schema."""
        return bool(self._validator.evolve(schema=part).is_valid(value))

    def faults(self, value: Any) -> list[str]:
        """Every place of the value that does not fit, with the reason."""
        errors = sorted(self._validator.iter_errors(value), key=lambda error: [str(one) for one in error.absolute_path])
        return [
            f"{'.'.join(map(str, error.absolute_path)) or 'arguments'}: {_short(error.message)}" for error in errors
        ]


def input_schema(schema: Mapping[str, Any]) -> InputSchema:
    """The schema, checked. Raises ArgumentsRefused."""
    _check_shape(schema)
    text = json.dumps(schema, sort_keys=True)
    if len(text) > MAX_SCHEMA_BYTES:
        raise ArgumentsRefused(f"input schema: has {len(text)} bytes, and at most {MAX_SCHEMA_BYTES} are allowed")
    try:
        return _made(text)
    except Exception as error:  # the schema is another's: whatever its faults raise
        raise ArgumentsRefused(f"input schema: {_short(str(error))}") from error


@lru_cache(maxsize=256)
def _made(text: str) -> InputSchema:
    return InputSchema(json.loads(text))


def _check_shape(schema: Mapping[str, Any]) -> None:
    """Raises ArgumentsRefused for a schema nested too deep, and for parts that change how the rest is read."""
    keys: set[str] = set()
    level: list[Any] = [schema]
    for depth in range(MAX_SCHEMA_DEPTH):
        for value in level:
            if isinstance(value, Mapping):
                keys |= value.keys()
                if depth and any(isinstance(value.get(name), str) for name in ("$schema", "$id")):
                    raise ArgumentsRefused("input schema: has another schema inside, with an id or dialect of its own")
        level = [
            member
            for value in level
            for member in (value.values() if isinstance(value, Mapping) else value)
            if isinstance(member, (Mapping, list))
        ]
        if not level:
            break
    else:
        raise ArgumentsRefused(f"input schema: is nested more than {MAX_SCHEMA_DEPTH} levels deep")
    if {"patternProperties", "unevaluatedProperties"} <= keys:
        raise ArgumentsRefused("input schema: patternProperties beside unevaluatedProperties cannot be checked")


@lru_cache(maxsize=8)
def _safe(kind: Any) -> Any:
    """The library's validator, with patterns that take linear time and references that are counted."""
    from jsonschema.validators import extend

    counted = {name: _counted(kind.VALIDATORS[name]) for name in ("$ref", "$dynamicRef") if name in kind.VALIDATORS}
    patterns = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
    }
    return extend(kind, {**counted, **patterns})


def _counted(follow: Any) -> Any:
    def reference(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
        _count_reference()
        yield from follow(validator, wanted, instance, schema) or ()

    return reference


def _count_reference() -> None:
    left = _references_left.get()
    left[0] -= 1
    if left[0] < 0:
        raise ArgumentsRefused(f"input schema: it needs more than {MAX_REFERENCES} references for one call")


def _pattern(validator: Any, wanted: str, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _searcher(wanted)(instance):
        yield _error(f"does not match {wanted!r}: {instance!r}")


def _pattern_properties(validator: Any, wanted: Mapping[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    for text, part in wanted.items() if isinstance(instance, dict) else ():
        for name, member in instance.items():
            if _searcher(text)(name):
                yield from validator.descend(member, part, path=name, schema_path=text)


def _additional_properties(validator: Any, wanted: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, member in instance.items() if isinstance(instance, dict) else ():
        if name not in known and not any(_searcher(text)(name) for text in patterns):
            if wanted is False:
                yield _error(f"{name!r} is not a property of the schema")
            else:
                yield from validator.descend(member, wanted, path=name)


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)


@lru_cache(maxsize=1_000)
def _searcher(text: str) -> Any:
    try:
        return Pattern(text, _re2_options).search
    except re2.error as error:
        raise ArgumentsRefused(f"input schema: the pattern {text!r} cannot be used: {error}") from error


def _short(message: str) -> str:
    return message if len(message) <= 300 else f"{message[:300]}..."
