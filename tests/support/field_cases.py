"""Requests made from an OpenAPI document: each field and parameter with values at and beyond each of its bounds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import cycle, islice, pairwise
from typing import Any
from urllib.parse import quote

Schema = Mapping[str, Any]

_HERE = "@@here@@"
_LONGEST_URL = 30_000
Value = tuple[bool, bytes]
"""A value as JSON, after whether it is beyond a bound."""


def _wrong(*values: bytes) -> tuple[Value, ...]:
    return tuple((True, value) for value in values)


_WRONG_EVERYWHERE = _wrong(
    *(b"1e400", b"NaN", b"-Infinity", b'"\\ud800"', b'"\xff"'),
    *(b"[" * depth + b"]" * depth for depth in (1_000, 100_000)),
)
"""What no field takes, whatever its kind."""
_NO_NAME = _wrong(b"7", b'"%s"' % (b"x" * 100_000))
_LONG = b'"%s"' % (b"x" * 200_000)
_NO_TEXT = (*_wrong(_LONG, b"7", b"true", b"[]", b"{}"), (False, b'"a\\u0000b"'), (False, '"\U0001f600"'.encode()))
_NO_NUMBER = _wrong(*(b"9" * digits for digits in (30, 400, 5_000)), b'"many"', b"[]", b"{}")
_NO_TRUTH = _wrong(b'"perhaps"', b"7", b"[]")
_NO_LIST = _wrong(b"{}", b"7")
"""What a field of a kind does not take, or takes although it is odd."""


@dataclass(frozen=True)
class Request:
    """One request; `named` is the field at fault when it must be refused, "" when it may be accepted. `answers` are the
    status codes that the document has for the operation."""

    method: str
    path: str
    named: str
    what: str
    body: bytes | None = None
    answers: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"{self.method} {self.path[:100]} {self.named or 'at a bound'}: {self.what}"


@dataclass
class Walk:
    """Goes through a document. `known` gives the path parameters values that exist; `unbounded` names fields without a
    bound. Each field gets the values at its own bounds; of those that are wrong everywhere, and of those that are wrong
    for its kind, it gets `shared`, in turn; None for all."""

    document: Schema
    known: Mapping[str, str]
    shared: int | None = None
    unbounded: list[str] = field(default_factory=list)
    _turns: dict[tuple[Value, ...], Iterator[Value]] = field(default_factory=dict)

    def requests(self) -> Iterator[Request]:
        """Every request of every operation but those whose body is an image."""
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                if "application/json" not in operation.get("requestBody", {}).get("content", ("application/json",)):
                    continue
                answers = frozenset(map(int, operation["responses"]))
                for request in self._of(method.upper(), path, operation):
                    yield replace(request, answers=answers)

    def _of(self, method: str, path: str, operation: Schema) -> Iterator[Request]:
        yield from self._parameters(method, path, operation)
        if "requestBody" in operation:
            yield from self._bodies(method, path, operation)

    def lists(self) -> list[str]:
        """The paths that can be asked for without saying anything more."""
        return [
            path
            for path, operations in self.document["paths"].items()
            if "get" in operations
            and "{" not in path
            and not path.endswith("/live")
            and not any(one.get("required") for one in operations["get"].get("parameters", ()))
        ]

    def _url(self, path: str, **given: str) -> str:
        values = {**self.known, **given}
        for name in [part.partition("}")[0] for part in path.split("{")[1:]]:
            path = path.replace(f"{{{name}}}", values[name.partition(":")[0]])
        return path

    def _parameters(self, method: str, path: str, operation: Schema) -> Iterator[Request]:
        body = self._example(operation)
        for parameter in operation.get("parameters", ()):
            name, where, schema = parameter["name"], parameter["in"], self._resolved(parameter["schema"])
            if where == "header":
                continue
            several = schema.get("type") == "array"
            one = self._resolved(schema["items"]) if several else schema
            is_text = one.get("type") == "string" and "enum" not in one
            for beyond, token in self._values(f"{path} {name}", one):
                if not beyond and path.endswith("/live"):
                    continue  # it would be answered for ever
                text = token.decode(errors="surrogateescape")
                text = json.loads(text) if text[:1] == '"' else text
                if len(text) > _LONGEST_URL or (is_text and token[:1] != b'"'):
                    continue  # more than the server reads of a URL, or no other than a text there
                if is_text and not text.isascii():
                    beyond = False  # bytes that are no UTF-8 are read as the replacement character
                given = quote(text, safe="", errors="surrogatepass")
                if where == "path":
                    if not given:
                        continue  # another path
                    url = self._url(path, **{name: given})
                else:
                    url = f"{self._url(path)}?{name}={given}"
                yield Request(method, url, name if beyond else "", f"{len(text)} {text[:40]!r}", body)
            if several:
                many = "&".join([f"{name}=x"] * (schema["maxItems"] + 1))
                yield Request(method, f"{self._url(path)}?{many}", name, "too many", body)

    def _bodies(self, method: str, path: str, operation: Schema) -> Iterator[Request]:
        schema = self._resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        url = self._url(path)
        example = schema["examples"][0]
        for place, one, inside in self._fields(schema, example, ()):
            named = str(place[-1]) if place and isinstance(place[-1], str) else str(place[-2]) if place else ""
            for beyond, token in self._values(f"{path} {'.'.join(map(str, place))}", one):
                raw = _with(inside, place, token)
                yield Request(method, url, named if beyond else "", f"{len(token)} {token[:60]!r}", raw)
            if place and isinstance(place[-1], str):
                twice = json.dumps(_placed(inside, place, _HERE)).encode()
                key = json.dumps(place[-1]).encode()
                raw = twice.replace(b'"%s"' % _HERE.encode(), b"1, %s: 2" % key)
                yield Request(method, url, named, "given twice", raw)
        if schema.get("additionalProperties") is False:
            yield Request(method, url, "no_such_key", "unknown", json.dumps({**example, "no_such_key": 1}).encode())

    def _fields(self, schema: Schema, example: Any, place: tuple[Any, ...], root: Any = None) -> Iterator[Any]:
        """Each field with its place, its schema, and a body that has that place."""
        root = example if root is None else root
        for name, one in schema.get("properties", {}).items():
            resolved = self._resolved(one)
            yield (*place, name), resolved, root
            yield from self._below(resolved, (*place, name), root)

    def _below(self, schema: Schema, place: tuple[Any, ...], root: Any) -> Iterator[Any]:
        if "properties" in schema:
            yield from self._fields(schema, None, place, root)
        if schema.get("type") == "array":
            items = self._resolved(schema["items"])
            member = _at(root, place)
            if not member:
                member = items.get("examples", [None])[0] or _smallest(items)
                root = _placed(root, place, [member])
            yield (*place, 0), items, root
            yield from self._below(items, (*place, 0), root)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if "anyOf" in schema:
            (one,) = [each for each in schema["anyOf"] if each.get("type") != "null"]
            return {**schema, **self._resolved(one)}
        return schema

    def _example(self, operation: Schema) -> bytes | None:
        if "requestBody" not in operation:
            return None
        schema = self._resolved(operation["requestBody"]["content"]["application/json"]["schema"])
        return json.dumps(schema["examples"][0]).encode()

    def _in_turn(self, values: tuple[Value, ...]) -> Iterator[Value]:
        """Some of the values, and for the next field others."""
        turn = self._turns.setdefault(values, cycle(values))
        return islice(turn, len(values) if self.shared is None else self.shared)

    def _values(self, name: str, schema: Schema) -> Iterator[Value]:
        """What to send as the field."""
        kind = schema.get("type", "any")
        if "enum" in schema or "const" in schema:
            yield True, b'"no such"'
            yield from self._in_turn(_NO_NAME)
        elif kind == "string":
            yield from self._texts(name, schema)
        elif kind in ("integer", "number"):
            yield from self._numbers(name, schema)
        elif kind == "boolean":
            yield from self._in_turn(_NO_TRUTH)
        elif kind == "array":
            if "maxItems" not in schema:
                self.unbounded.append(name)
            else:
                yield True, b"[%s]" % b",".join([b"0"] * (schema["maxItems"] + 1))
            yield schema.get("minItems", 0) > 0, b"[]"
            yield from self._in_turn(_NO_LIST)
        elif "maxProperties" in schema:
            yield from self._labels(name, schema)
        elif "properties" not in schema:
            yield from self._anything(name, schema)
        yield from self._in_turn(_WRONG_EVERYWHERE)

    def _texts(self, name: str, schema: Schema) -> Iterator[Value]:
        if "maxLength" not in schema:
            self.unbounded.append(name)
            return
        most = schema["maxLength"]
        yield from [(False, b'"%s"' % (b"x" * most)), (True, b'"%s"' % (b"x" * (most + 1)))]
        yield schema.get("minLength", 0) > 0, b'""'
        for beyond, value in self._in_turn(_NO_TEXT):
            yield most < len(value) - 2 if value == _LONG else beyond, value

    def _numbers(self, name: str, schema: Schema) -> Iterator[Value]:
        least, most = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
        above = most if most is not None else schema.get("exclusiveMaximum")
        if least is None or above is None:
            self.unbounded.append(name)
            return
        yield from [(False, json.dumps(each).encode()) for each in (least, above)]
        yield from [(True, json.dumps(each).encode()) for each in (least - 1, above + (1 if most is not None else 0))]
        yield from self._in_turn(_NO_NUMBER)

    def _labels(self, name: str, schema: Schema) -> Iterator[Value]:
        """Texts or numbers by names, all of them bounded."""
        most, longest = schema["maxProperties"], schema.get("propertyNames", {}).get("maxLength")
        of_value = self._resolved(schema["additionalProperties"])
        length, highest = of_value.get("maxLength"), of_value.get("maximum")
        if longest is None or (length is None and highest is None):
            self.unbounded.append(name)
            return
        value: Any = "v" if highest is None else highest
        for number in (most, most + 1):
            yield number > most, json.dumps({f"k{each}": value for each in range(number)}).encode()
        for size in (longest, longest + 1):
            yield size > longest, json.dumps({"k" * size: value}).encode()
        if highest is not None:
            yield True, json.dumps({"k": highest + 1}).encode()
            return
        for size in (length, length + 1):
            yield size > length, json.dumps({"k": "v" * size}).encode()

    def _anything(self, name: str, schema: Schema) -> Iterator[Value]:
        if "x-max-depth" not in schema:
            self.unbounded.append(name)
            return
        depth, size, is_object = schema["x-max-depth"], schema["x-max-bytes"], schema.get("type") == "object"
        for levels in (depth - 1, depth, depth + 1):
            yield levels > depth, b'{"k":' * levels + b"1" + b"}" * levels
        frame = (b'{"k":"', b'"}') if is_object else (b'"', b'"')
        for length in (size, size + 1):
            yield length > size, frame[0] + b"x" * (length - len(frame[0] + frame[1])) + frame[1]
        wrap = b'{"k":%s}' if is_object else b"%s"
        yield from [(False, wrap % b"18446744073709551615"), (True, wrap % b"18446744073709551616")]
        yield from [(True, wrap % b"1e400"), (True, wrap % b'"\\ud800"'), (False, wrap % b'"\\u0000"')]
        yield from [(True, b'{"k":1,"k":2}')]
        if is_object:
            yield from [(True, b"7"), (True, b"[]")]


def _smallest(schema: Schema) -> Any:
    return {"string": "x", "integer": 1, "number": 1, "object": {}}.get(schema.get("type", "object"), {})


def _at(root: Any, place: tuple[Any, ...]) -> Any:
    for part in place:
        root = root.get(part) if isinstance(root, dict) else root[part] if part < len(root) else None
        if root is None:
            return None
    return root


def _placed(root: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy of the body with the value at the place."""
    root = copy.deepcopy(root)
    node = root
    for part, following in pairwise(place):
        if isinstance(node, dict) and not node.get(part):
            node[part] = [] if isinstance(following, int) else {}
        node = node[part]
    if isinstance(node, list) and not node:
        node.append(value)
    else:
        node[place[-1]] = value
    return root


def _with(root: Any, place: tuple[Any, ...], token: bytes) -> bytes:
    return json.dumps(_placed(root, place, _HERE)).encode().replace(b'"%s"' % _HERE.encode(), token)
