"""Which release of the `mcp` package the guards work with."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from brain.errors import InvalidInput

_REMEDY = "pip install 'brain-eventstream[mcp]' (or 'mcp>=2,<3')"


def require_mcp() -> None:
    """Raises InvalidInput, naming the remedy, unless a release 2 of `mcp` is installed."""
    try:
        found = version("mcp")
    except PackageNotFoundError:
        raise InvalidInput(f"mcp: is not installed, and MCP guards need its release 2: {_REMEDY}") from None
    if found.split(".")[0] != "2":
        raise InvalidInput(f"mcp: release {found} is installed, and MCP guards need release 2: {_REMEDY}")
