"""RQ: each job runs in a process that RQ forks for it and ends by `os._exit`, so a job closes what it opens.

    rq worker --url redis://127.0.0.1:6379/1

Enqueue `rq_app.place`. What a killed job had journalled is stored by the next job on this machine.
"""

import os

from brain import Event, EventStream


def place(numbers: list[int]) -> None:
    with EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db")) as stream:
        for number in numbers:
            receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
            if receipt.refused is not None:
                raise receipt.refused
