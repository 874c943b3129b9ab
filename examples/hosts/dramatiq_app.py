"""dramatiq: its worker processes import this module, and each opens the stream; its end ships what is journalled.

dramatiq dramatiq_app
"""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from brain import Event, EventStream

dramatiq.set_broker(RedisBroker(url=os.environ.get("BROKER", "redis://127.0.0.1:6379/1")))
stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))


@dramatiq.actor(max_retries=0)
def place(number: int) -> None:
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused
