"""Celery: opened at module level, before the worker forks; each process of the pool opens it for itself.

    celery --app celery_app worker

The pool ends its processes by `os._exit`, so that functions of `atexit` never run there: close at the signal.
"""

import os

from celery import Celery
from celery.signals import worker_process_shutdown

from brain import Event, EventStream

app = Celery("shop", broker=os.environ.get("BROKER", "redis://127.0.0.1:6379/1"))
stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))


@worker_process_shutdown.connect
def close_stream(**_: object) -> None:
    stream.close_sync()


@app.task
def place(number: int) -> None:
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused
