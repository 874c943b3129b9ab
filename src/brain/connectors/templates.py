"""Templates in settings: `{name}` in a text stands for a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NAME = re.compile(r"\{([a-z_]+)\}")


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """The value with each `{name}` in its texts replaced, however deep they are; an unknown name stays as it is."""
    if isinstance(value, str):
        return _NAME.sub(lambda found: names.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: filled(member, names) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [filled(member, names) for member in value]
    return value
