"""Flask: the stream is opened once, at module level, and the end of the process ships what is journalled.

    flask --app flask_app run
    gunicorn --workers 4 flask_app:app
    gunicorn --workers 4 --preload flask_app:app
    gunicorn --workers 4 --worker-class gevent flask_app:app

With --preload the stream is opened before gunicorn forks its workers; each opens it for itself at its first request.
"""

import os

from flask import Flask, Response, jsonify

from brain import Event, EventStream

stream = EventStream.open_sync(os.environ.get("BRAIN_STREAM", "sqlite:///brain.db"))
app = Flask(__name__)


@app.post("/orders/<int:number>")
def place(number: int) -> Response:
    receipt = stream.publish(Event(type="order.placed", source="shop_service", payload={"number": number}))
    if receipt.refused is not None:
        raise receipt.refused
    return jsonify(number=number)


@app.get("/orders")
def newest() -> Response:
    stored = stream.read_sync("order.placed", newest_first=True, limit=10)
    return jsonify([one.event.payload["number"] for one in stored])
