"""The arguments of a call, by the names that the function itself has for them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

Named = dict[str, Any]
Bind = Callable[..., Named]

EXTRA: Final = "**"
"""Where policy sees the keywords of `**kwargs` whose names the function's own parameters have: `params.**.path`."""


_STARS: Mapping[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def binder(function: Callable[..., Any]) -> Bind:
    """A function of a call's arguments that gives them by name, defaults and what a partial adds included.

    Own parameters have their names; those of `**kwargs` stand beside them, and under EXTRA where an own parameter has
    the name already. It raises TypeError, as the call would, for arguments that do not fit.
    """
    if isinstance(function, functools.partial):
        return functools.partial(binder(function.func), *function.args, **function.keywords)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions do not tell
        return _unnamed
    return _compiled(signature, getattr(function, "__qualname__", type(function).__qualname__))


def _unnamed(*args: Any, **kwargs: Any) -> Named:
    return _spread({"args": args}, kwargs)


def _compiled(signature: inspect.Signature, name: str) -> Bind:
    """A function with this signature that returns its arguments, so that Python itself does the binding."""
    parameters = list(signature.parameters.values())
    extra = next((one.name for one in parameters if one.kind is inspect.Parameter.VAR_KEYWORD), None)
    named = ", ".join(f"{one.name!r}: {one.name}" for one in parameters if one.name != extra)
    spread = "spread"
    while spread in signature.parameters:  # in the body the parameters are what counts
        spread += "_"
    result = f"{{{named}}}" if extra is None else f"{spread}({{{named}}}, {extra})"
    around = {spread: _spread, **{f"d{index}": one.default for index, one in enumerate(parameters)}}
    bind: Any = eval(f"lambda {_declared(parameters)}: {result}", around)
    bind.__qualname__ = name
    return bind  # type: ignore[no-any-return]


def _declared(parameters: list[inspect.Parameter]) -> str:
    """The parameters as they are written in a function's head; the default of number 3 is called `d3`."""
    written: list[str] = []
    for index, one in enumerate(parameters):
        before = parameters[index - 1].kind if index else None
        if before is inspect.Parameter.POSITIONAL_ONLY and one.kind is not before:
            written.append("/")
        if one.kind is inspect.Parameter.KEYWORD_ONLY and before not in (one.kind, inspect.Parameter.VAR_POSITIONAL):
            written.append("*")
        star = _STARS.get(one.kind, "")
        written.append(star + one.name + ("" if one.default is one.empty or star else f"=d{index}"))
    if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
        written.append("/")
    return ", ".join(written)


def _spread(own: Named, extra: Mapping[str, Any]) -> Named:
    """The keywords of `**kwargs` beside the function's own parameters."""
    if not extra:
        return own
    hidden = {name: value for name, value in extra.items() if name in own or name == EXTRA}
    named = own | {name: value for name, value in extra.items() if name not in hidden}
    if hidden:
        named[EXTRA] = hidden
    return named


class Binding:
    """Whether a call's first argument is the instance, or class, that Python bound the method to.

    It is when a class of its holds `wrapper` as a method, whatever the parameter is called.
    """

    def __init__(self, wrapper: Callable[..., Any]) -> None:
        self._wrapper = wrapper
        self._methods: WeakKeyDictionary[type, bool] = WeakKeyDictionary()
        self._class_methods: WeakKeyDictionary[type, bool] = WeakKeyDictionary()

    def is_bound_to(self, first: object) -> bool:
        """Whether `first` is what the wrapper is bound to."""
        if _any(type(first), self._is_method, self._methods):
            return True
        return isinstance(first, type) and _any(first, self._is_class_method, self._class_methods)

    def _is_method(self, attribute: object) -> bool:
        """Whether reading the attribute from an instance binds the wrapper to it."""
        if isinstance(attribute, property):
            return any(map(self._leads_here, (attribute.fget, attribute.fset, attribute.fdel)))
        if isinstance(attribute, (functools.cached_property, functools.partialmethod)):
            return self._leads_here(attribute.func)
        return inspect.isfunction(attribute) and self._leads_here(attribute)

    def _is_class_method(self, attribute: object) -> bool:
        return isinstance(attribute, classmethod) and self._leads_here(attribute.__func__)

    def _leads_here(self, function: object) -> bool:
        """Whether it is the wrapper, or a decorator's function round it."""
        if not callable(function):
            return False
        try:
            return inspect.unwrap(function, stop=lambda one: one is self._wrapper) is self._wrapper
        except ValueError:  # one that wraps itself
            return False


def _any(kind: type, test: Callable[[object], bool], known: WeakKeyDictionary[type, bool]) -> bool:
    """Whether the test holds for an attribute of the class, or of one that it inherits from."""
    found = known.get(kind)
    if found is None:
        found = known[kind] = any(test(one) for each in kind.__mro__ for one in list(vars(each).values()))
    return found
