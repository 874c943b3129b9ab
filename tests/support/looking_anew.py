"""The command `brain` in a forked child that looks for installed plug-ins anew, in the folder `site` too."""

from __future__ import annotations

import sys

from brain import cli
from brain.connectors.notifiers import NOTIFIERS
from brain.plugins import catalogue, discovery, plugins
from brain.settings import settings_model


def main() -> None:
    """What `brain` does after it has imported what it needs."""
    sys.path.insert(0, "site")
    for found in (plugins, catalogue, settings_model):
        found.cache_clear()
    discovery._faults.clear()
    vars(NOTIFIERS).pop("_points", None)
    cli.main()
