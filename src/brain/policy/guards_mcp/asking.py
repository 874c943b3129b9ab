"""The former place of `failures`, kept for one release."""

from __future__ import annotations

import warnings
from typing import Any

from brain.policy.guards_mcp import deciding


def __getattr__(name: str) -> Any:
    warnings.warn(
        f"brain.policy.guards_mcp.asking is deprecated; import {name} from brain.policy.guards_mcp",
        DeprecationWarning,
        stacklevel=2,
    )
    return getattr(deciding, name)
