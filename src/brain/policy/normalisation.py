"""What a rule sees of any Python value. docs/policy.md has the table; every entry point uses it.

`unwrap` reads one layer of a value, which is all that a decision needs; `normalise` reads it as a whole.
"""

from __future__ import annotations

import operator
from collections import UserString
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import date, time
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from math import inf, isfinite, nan
from numbers import Complex, Integral, Rational, Real
from os import PathLike, fspath
from types import NoneType
from typing import Any, Final
from uuid import UUID

MAX_DEPTH: Final = 32
"""How many lists and objects inside each other are read; what lies deeper is opaque."""

MAX_MEMBERS: Final = 250_000
"""How many members of lists and objects are read of one value in all; the rest is opaque."""

_MAX_TEXT = 1_000
PLAIN: Final = frozenset({NoneType, bool, int, str})
"""Types whose values are what they seem; a float is too, unless it is NaN."""

_FLAT = PLAIN | {float}
_TEXTS = {str}
_ADDRESSES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
_URLS = {
    "yarl._url.URL",
    "yarl.URL",
    "httpx.URL",
    "httpx._urls.URL",
    "starlette.datastructures.URL",
    "pydantic.networks._BaseUrl",
    "pydantic.networks._BaseMultiHostUrl",
    "pydantic_core._pydantic_core.Url",
    "pydantic_core._pydantic_core.MultiHostUrl",
}
"""Classes of URLs, by name: a program that has none of these libraries need not load them."""


class Opaque:
    """A value that no rule can look into; `text` is its shortened `repr`, for people to read."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    @property
    def text(self) -> str:
        """The value's `repr`, at most 1,000 characters, as valid text; never raises."""
        try:
            text = repr(self._value)
        except Exception:  # noqa: BLE001  (a value of the caller's own type may raise anything)
            text = f"<{type(self._value).__name__}>"
        return text.encode(errors="replace").decode()[:_MAX_TEXT]

    def __repr__(self) -> str:
        return self.text


def normalise(value: Any) -> Any:
    """`value` as rules see it: None, bool, str, numbers, lists, dicts with text keys, and Opaque. Never raises.

    A number is an int or a float where one of these is exactly it, else a Decimal or a Fraction. What the answer holds
    is a copy: later changes of `value` do not reach it.
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is dict and _is_flat(value):
        return dict(value)
    return _Walk().read(value, MAX_DEPTH)


def unwrap(value: Any) -> Any:
    """One layer of `normalise`: the members of the list or dict are as they were. Never raises."""
    for _ in range(MAX_DEPTH):  # an enum may hold an enum, a model of one value a model
        kind = type(value)
        if kind in _FLAT or kind is list or kind is Opaque or (kind is dict and has_text_keys(value)):
            return value
        try:
            found = _reader(kind)(value)  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001  (as above)
            return Opaque(value)
        if type(found) in (list, dict, Decimal, Fraction):
            return found
        value = found
    return Opaque(value)


def has_text_keys(value: Mapping[Any, Any]) -> bool:
    """Whether all keys of the dict are texts, as they nearly always are."""
    return _TEXTS.issuperset(map(type, value))


def _is_flat(value: Any) -> bool:
    """Whether the dict, as most are, has texts as keys and plain members."""
    return has_text_keys(value) and _FLAT.issuperset(map(type, value.values()))


class _Walk:
    """One reading of a whole value: bounded in depth and members, and safe where a value holds itself."""

    __slots__ = ("_inside", "_left")

    def __init__(self) -> None:
        self._left = MAX_MEMBERS
        self._inside: set[int] = set()

    def read(self, value: object, depth: int) -> Any:
        layer: Any = value if type(value) is list else unwrap(value)
        if type(layer) is not list and type(layer) is not dict:
            return layer
        self._left -= len(layer) + 1
        if not depth or self._left < 0 or id(value) in self._inside:
            return Opaque(value)
        self._inside.add(id(value))
        try:
            if type(layer) is list:
                return [one if type(one) in _FLAT else self.read(one, depth - 1) for one in list(layer)]
            return {key: one if type(one) in _FLAT else self.read(one, depth - 1) for key, one in dict(layer).items()}
        except Exception:  # noqa: BLE001  (a value of the caller's own type may raise anything)
            return Opaque(value)
        finally:
            self._inside.discard(id(value))


Normaliser = Callable[[Any], Any]


@lru_cache(maxsize=4_096)
def _reader(kind: type) -> Normaliser:
    """How values of this type are read; the first that fits."""
    for base, plain in ((str, str.__str__), (int, int.__int__), (float, float.__float__)):
        if issubclass(kind, base):  # a member of an enum, too: it equals that, and is found by that, whatever its value
            return plain
    if issubclass(kind, Enum):
        return operator.attrgetter("_value_")
    if hasattr(kind, "get_secret_value"):
        return Opaque
    if issubclass(kind, (Decimal, Fraction)):
        return _number
    if issubclass(kind, Mapping):
        return _object
    if issubclass(kind, tuple) and hasattr(kind, "geturl"):
        return operator.methodcaller("geturl")
    names = _field_names(kind)
    if names is not None:
        return names
    if issubclass(kind, (set, frozenset, Set)):
        return lambda value: sorted(value, key=_member_order)
    if _is_text(kind):
        return _text_of(kind)
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return lambda value: bytes(value).decode()
    return _list_or_number(kind)


def _list_or_number(kind: type) -> Normaliser:
    if issubclass(kind, Sequence) and not issubclass(kind, range):
        return list
    if hasattr(kind, "dtype") and hasattr(kind, "tolist"):
        return _array
    if issubclass(kind, Complex) and not issubclass(kind, Real):
        return Opaque
    if issubclass(kind, Real) or hasattr(kind, "__index__") or hasattr(kind, "__float__"):
        return _number
    return Opaque


def _field_names(kind: type) -> Normaliser | None:
    """A reader of the fields that a type declares, by the names that Python code uses; None when it declares none."""
    if hasattr(kind, "__pydantic_fields__"):
        return _root if getattr(kind, "__pydantic_root_model__", False) else _model
    for declared in ("__struct_fields__", "_fields", "__dataclass_fields__"):
        if hasattr(kind, declared):
            names = tuple(getattr(kind, declared))
            if declared != "_fields" or issubclass(kind, tuple):
                return lambda value: _fields(value, names)
    if hasattr(kind, "__attrs_attrs__"):
        attributes = tuple(one.name for one in kind.__attrs_attrs__)
        return lambda value: _fields(value, attributes)
    return None


def _fields(value: object, names: Iterable[str]) -> dict[str, Any]:
    """The fields that are set; one that cannot be read is opaque."""
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = getattr(value, name)
        except AttributeError:
            continue
        except Exception as error:  # noqa: BLE001  (a computed field may raise anything)
            found[name] = Opaque(error)
    return found


def _model(value: Any) -> dict[str, Any]:
    """The fields of a pydantic model: declared, computed, and extra ones."""
    kind = type(value)
    extra = getattr(value, "__pydantic_extra__", None) or {}
    return {**extra, **_fields(value, (*kind.model_fields, *getattr(kind, "model_computed_fields", ())))}


def _root(value: Any) -> Any:
    return value.root


def _object(value: Mapping[Any, Any]) -> dict[str, Any]:
    """The mapping with texts as keys: where two keys have the same text, the one that is a text stays."""
    others: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    for key in value:
        (texts if type(key) is str else others)[key_text(key)] = value[key]
    return {**others, **texts}


def key_text(key: object) -> str:
    """The text that a key of a mapping has for rules: of an enum its value, of a number its digits."""
    plain = unwrap(key)
    if isinstance(plain, str):
        return plain
    if plain is None or isinstance(plain, bool):
        return {None: "null", True: "true", False: "false"}[plain]
    return Opaque(plain).text


def _member_order(member: object) -> tuple[str, str]:
    plain = unwrap(member)
    return (type(plain).__name__, Opaque(plain).text)


def _is_text(kind: type) -> bool:
    if issubclass(kind, (date, time, UUID, PathLike, UserString, *_ADDRESSES)):
        return True
    return any(f"{base.__module__}.{base.__qualname__}" in _URLS for base in kind.__mro__)


def _text_of(kind: type) -> Normaliser:
    if issubclass(kind, (date, time)):
        return operator.methodcaller("isoformat")
    return fspath if issubclass(kind, PathLike) else str


def _array(value: Any) -> Any:
    found = value.tolist()
    return found if type(found) is not type(value) else _number(value)


def _number(value: Any) -> int | float | Decimal | Fraction:
    """The same number as an int or a float where one of these is exactly it, else as a Decimal or a Fraction."""
    if isinstance(value, Decimal):
        return _decimal(Decimal(value))
    if isinstance(value, Integral) or hasattr(value, "__index__"):
        return operator.index(value)
    if isinstance(value, Rational):
        return _fraction(Fraction(int(value.numerator), int(value.denominator)))
    if hasattr(value, "as_integer_ratio") and isfinite(value):
        return _fraction(Fraction(*map(int, value.as_integer_ratio())))
    return float(value)


def _decimal(value: Decimal) -> int | float | Decimal:
    """A float stands for the decimal that is written like it: 0.1 for Decimal("0.1"), as in the text of a rule."""
    if not value.is_finite():
        return nan if value.is_nan() else inf if value > 0 else -inf
    if not value:
        return 0
    if not -330 < value.adjusted() < 310:
        return value
    if value == value.to_integral_value():
        return int(value)
    near = float(value)
    return near if isfinite(near) and Decimal(repr(near)) == value else value


def _fraction(value: Fraction) -> int | float | Fraction:
    if value.denominator == 1:
        return value.numerator
    try:
        near = float(value)
    except OverflowError:
        return value
    return near if Fraction(repr(near)) == value or Fraction(near) == value else value
