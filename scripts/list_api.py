"""Writes docs/api.md, the public names of the package, from `__all__` and docstrings; `make docs` calls it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
USERS = (
    "brain",
    "brain.policy",
    "brain.policy.guards_http",
    "brain.policy.guards_mcp",
    "brain.threats",
    "brain.immune",
    "brain.stream",
    "brain.testing",
)
AUTHORS = (
    "brain.plugins",
    "brain.charter",
    "brain.settings",
    "brain.store",
    "brain.stream.publisher",
    "brain.kit.database",
    "brain.kit.http",
    "brain.kit.projection",
    "brain.kit.cli.backend",
    "brain.kit.cli.common",
    "brain.kit.cli.database",
    "brain.kit.cli.tables",
    "brain.kit.cli.text",
)
_HEAD = """\
<!-- Written by `make docs` from the modules' __all__ and docstrings. Edit those instead. -->
# The public names

What this page lists is public: it changes only with a line in CHANGELOG.md, and an old name works for one more release.
All else is private. The HTTP API is described by `/openapi.json`, the events by [EVENTS.md](../EVENTS.md), the settings
by [settings](settings.md), the command line by `brain --help`.
"""


def meaning(module: str, name: str) -> str:
    """The first sentence of the docstring: of the object, or of the assignment that makes it. "" without one."""
    value = getattr(import_module(module), name)
    own = vars(value).get("__doc__") if isinstance(value, type) else getattr(value, "__doc__", None)
    if own and (isinstance(value, type) or callable(value)) and own != type(value).__doc__:
        return _first_sentence(own)
    return _first_sentence(_of_assignment(module, name))


def _first_sentence(text: str) -> str:
    words = " ".join(text.strip().partition("\n\n")[0].split())
    end = words.find(". ")
    return words[: end + 1] if end >= 0 else words


def _of_assignment(module: str, name: str) -> str:
    """The text below the assignment of a name, in the module that the name comes from."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    for place, node in enumerate(tree.body):
        if name in _assigned(node):
            after = tree.body[place + 1] if place + 1 < len(tree.body) else None
            match after:
                case ast.Expr(ast.Constant(str(text))):
                    return text
            return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _of_assignment(node.module, alias.name)
    return ""


def _assigned(node: ast.stmt) -> list[str]:
    """The plain names that a statement assigns to."""
    match node:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *_part("For applications", USERS), *_part("For authors of plug-ins", AUTHORS)])


def _part(title: str, modules: tuple[str, ...]) -> Iterator[str]:
    yield from (f"## {title}", "")
    for module in modules:
        found = import_module(module)
        yield from (f"### `{module}`", "", _first_sentence(found.__doc__ or ""), "", "| name | meaning |", "|---|---|")
        for name in sorted(found.__all__, key=str.casefold):
            yield f"| `{name}` | {meaning(module, name).replace('|', chr(92) + '|')} |"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}", file=sys.stderr)
