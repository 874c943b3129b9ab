"""No function, method or class of the package is there for nobody."""

from __future__ import annotations

import re
from pathlib import Path

from vulture import Vulture

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src" / "brain"

ROUTES = [f"@*.{verb}" for verb in ("get", "post", "put", "patch", "delete")]
DECORATORS = [*ROUTES, "@*.command", "@*.callback", "@field_validator", "@model_validator", "@*validator"]
"""What is registered by a decorator is called by FastAPI, typer or pydantic."""

USED = {
    "__getattr__": "called by Python for names of a module",
    "_connected": "called by SQLAlchemy for each connection",
    "_disposed": "called by SQLAlchemy when an engine is disposed of",
    "capture_signals": "overrides uvicorn's",
    "main_loop": "likewise",
    "on_url": "called by httptools' parser",
    "on_header": "likewise",
    "on_headers_complete": "likewise",
    "on_body": "likewise",
    "collect": "called by prometheus_client",
    "settings_customise_sources": "called by pydantic-settings",
    "to_cloudevent": "for users (docs/correlation.md)",
    "from_cloudevent": "for users (docs/correlation.md)",
    "create_table": "for users (docs/inbox.md)",
    "get_events_by_type": "for users' tests",
    "parse_policy": "reads what `dump_policy` writes; for tools beside ours",
    "recorded_context": "reads a recorded decision; for tools beside ours",
    "open_sync": "for programs without an event loop (docs/hosts.md)",
    "read_sync": "likewise",
    "run_until_idle": "for users (docs/missions.md)",
    "extend_order": "likewise",
    "instant_actions": "likewise",
    "progress_of": "likewise",
    "replay_sync": "likewise",
}


def test_nothing_is_dead() -> None:
    finder = Vulture(ignore_decorators=DECORATORS)
    finder.scavenge([SOURCE])
    declarations = [PROJECT / "pyproject.toml", SOURCE / "cli" / "__init__.py", SOURCE / "server" / "app.py"]
    for name in ("plugin.py", "component.py", "tasks.py"):
        declarations += SOURCE.rglob(name)
    referred = {name for path in declarations for name in re.findall(r':(\w+)"', path.read_text("utf-8"))}
    public = set(re.findall(r"^\| `(\w+)`", (PROJECT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE))
    unused = {
        found.name: f"{found.filename}:{found.first_lineno}"
        for found in finder.get_unused_code(min_confidence=60)
        if found.typ in ("function", "method", "class", "property") and found.name not in referred | public
    }
    assert {name: place for name, place in unused.items() if name not in USED} == {}
    assert USED.keys() <= unused.keys(), "take out of USED what is used or gone"
