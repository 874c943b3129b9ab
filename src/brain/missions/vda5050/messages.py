"""What all messages of VDA 5050 begin with.

Source: VDA 5050 version 3.0.0, https://github.com/VDA5050/VDA5050.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

VERSION = "3.0.0"
MOST_HEADER_ID = 2**32 - 1

Message = dict[str, Any]


class Headers:
    """Numbers and dates the messages to one robot; each topic counts for itself. `clock` gives Unix seconds."""

    def __init__(self, manufacturer: str, serial_number: str, clock: Callable[[], float] = time.time) -> None:
        self._robot = {"manufacturer": manufacturer, "serialNumber": serial_number}
        self._clock = clock
        self._sent: Counter[str] = Counter()

    def next(self, topic: str) -> Message:
        """The header of the next message of the topic, such as `order`."""
        number = self._sent[topic] % (MOST_HEADER_ID + 1)
        self._sent[topic] += 1
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"headerId": number, "timestamp": at, "version": VERSION, **self._robot}
