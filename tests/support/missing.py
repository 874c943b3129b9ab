"""Takes away what other systems lack: `TEST_WITHOUT=fdatasync pytest ...`, and `without` for a process of its own."""

from __future__ import annotations

import os
import sys

CAPABILITIES = {
    "posix_fallocate": ("macOS, Windows", ("posix_fallocate",)),
    "fdatasync": ("macOS, Windows", ("fdatasync",)),
    "pread": ("Windows", ("pread", "pwrite")),
    "register_at_fork": ("Windows", ("register_at_fork", "fork")),
}
"""By name: where it is missing, and the names in `os` that stand for it."""


def take_away(capability: str) -> None:
    """From now on this process lacks it. To be called before anything of `brain` is imported."""
    assert not any(name.split(".")[0] == "brain" for name in sys.modules), "too late: brain is imported"
    for name in CAPABILITIES[capability][1]:
        delattr(os, name)


if given := os.environ.get("TEST_WITHOUT"):
    for one in given.split(","):
        take_away(one)
