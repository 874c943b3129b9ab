"""A notebook (Jupyter), cell by cell. The end or a restart of its kernel ships what is journalled.

jupytext --to notebook notebook.py
"""

# %% open it once; run again, it is open already
import os

from brain import Event, EventStream

if "stream" not in globals():
    stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))


def place(number: int) -> None:
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused


# %% publish
place(1)

# %% read: notebooks may await, too
print([stored.event.payload["number"] for stored in await stream.read("order.placed")])  # noqa: F704
