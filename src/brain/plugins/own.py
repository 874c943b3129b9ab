"""What this package itself offers, known from its files: an installation may lack its metadata, or have an older one.

Entry points are read from a folder beside the package (`*.dist-info`). A zipapp, a frozen program, a copied folder and
a half-deleted installation have none, and an editable one has those of the version that was installed.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, EntryPoints, PackageNotFoundError, entry_points, version
from typing import Any

import brain
from brain.errors import Unavailable

DISTRIBUTION = "brain-eventstream"
REINSTALL = "install it again: pip install --force-reinstall --no-deps brain-eventstream"

_CONNECTORS: Mapping[str, Mapping[str, str]] = {
    "brain.notifiers": {
        "apprise": "brain.connectors.apprise:Apprise",
        "email": "brain.connectors.email:Email",
        "pagerduty": "brain.connectors.pagerduty:PagerDuty",
        "slack": "brain.connectors.slack:Slack",
        "webhook": "brain.connectors.webhook:Webhook",
    },
    "brain.ticket_systems": {
        "jira": "brain.connectors.jira:Jira",
        "servicenow": "brain.connectors.servicenow:ServiceNow",
    },
}


def points(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group: those of this package, which need no metadata, and those of other ones.

    Raises Unavailable when none of its own plug-ins can be found: no event type would be known.
    """
    own = _own_plugins() if group == "brain.plugins" else _CONNECTORS.get(group, {})
    others = (point for point in installed(group) if not _is_known(point, own))
    return (*(EntryPoint(name, value, group) for name, value in own.items()), *others)


def installed(group: str) -> EntryPoints:
    """The entry points of a group in the metadata of all installed packages."""
    found: EntryPoints = _all_on(tuple(sys.path)).select(group=group)
    return found


@lru_cache(maxsize=1)
def _all_on(path: Sequence[str]) -> Any:
    """The entry points of all packages on the present `sys.path`: reading them takes as long as ten imports."""
    return entry_points()


def _is_known(point: EntryPoint, own: Mapping[str, str]) -> bool:
    """Whether it is one of `own`, or of another version of this package; what metadata of this one has more is lost."""
    if own.get(point.name) == point.value:
        return True
    if not point.value.startswith("brain.") or point.dist is None or point.dist.name != DISTRIBUTION:
        return False
    return point.dist.version != brain.__version__


@cache
def _own_plugins() -> Mapping[str, str]:
    """By name, what declares each plug-in of this package: each folder with a file `plugin.py`, none of it imported."""
    found = {
        folder.name: f"brain.{folder.name}.plugin:PLUGIN"
        for folder in pkgutil.iter_modules(brain.__path__)
        if folder.ispkg and PathFinder.find_spec("plugin", _places(folder)) is not None
    }
    if not found:
        raise Unavailable(
            f"brain: none of its own plug-ins can be found in {', '.join(brain.__path__)}, and so no event type is "
            f"known; {REINSTALL}; in a frozen program collect all modules of `brain`"
        )
    return found


def is_own(name: str) -> bool:
    """Whether the plug-in of this name is in this package."""
    return name in _own_plugins()


def _places(folder: pkgutil.ModuleInfo) -> Sequence[str]:
    finder: Any = folder.module_finder
    spec = finder.find_spec(f"brain.{folder.name}")
    return [] if spec is None else spec.submodule_search_locations or []


def metadata_fault() -> str | None:
    """What is wrong with this package's metadata, with the remedy; None when it is that of this version."""
    try:
        found = version(DISTRIBUTION)
    except PackageNotFoundError:
        return (
            f"the metadata of {DISTRIBUTION} is missing: its own plug-ins are known without it, and those of other "
            f"packages only where their metadata is there; {REINSTALL}, or take the *.dist-info folders along"
        )
    if found != brain.__version__:
        return f"the metadata of {DISTRIBUTION} is that of {found}, and this is {brain.__version__}; {REINSTALL}"
    return None
