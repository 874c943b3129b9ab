"""A script: open, publish, end. Nothing has to be closed; `with` would wait longer for a backend that is away.

python script.py 1 2 3
"""

import os
import sys

from brain import Event, EventStream

stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))
for number in map(int, sys.argv[1:]):
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        sys.exit(f"refused: {receipt.refused}")
