"""OTLP over HTTP: the body of a request read, and its answer, as https://opentelemetry.io/docs/specs/otlp/ has them.

An exporter sends again what is answered 429, 502, 503 or 504, and drops what is answered otherwise. So 400 is for what
is malformed, and what a later try may get over is 503 with Retry-After, never 500.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import msgspec
from starlette.responses import Response

from brain.errors import BrainError, InvalidInput
from brain.extras import needs
from brain.telemetry.requests import JSON, METRICS, PROTOBUF, TRACES, Calls

RETRY_SECONDS = 2
"""After which an exporter may send again."""
_REFUSED = {TRACES: "rejectedSpans", METRICS: "rejectedDataPoints"}
_WORDS = "spans without a valid trace id or span id"


class TooLarge(InvalidInput):
    """A body is larger than it may be."""

    status = 413
    title = "Content Too Large"


class UnknownForm(InvalidInput):
    """A body is in a form that is not known."""

    status = 415
    title = "Unsupported Media Type"


@dataclass(frozen=True)
class OtlpBody:
    """The body of a request for a signal, as it came in."""

    signal: str
    media_type: str
    encoding: str
    data: bytes

    def unpacked(self, most: int) -> bytes:
        """The body without gzip. Raises InvalidInput, TooLarge and UnknownForm."""
        if self.encoding in ("", "identity"):
            return self.data
        if self.encoding != "gzip":
            raise UnknownForm(f"Content-Encoding (header): {self.encoding[:50]!r} is not known; send gzip, or none")
        unpacking = zlib.decompressobj(31)
        try:
            found = unpacking.decompress(self.data, most + 1)
        except zlib.error as error:
            raise InvalidInput(f"body: is not gzip: {error}") from error
        if len(found) > most:
            raise TooLarge(f"body: unpacks to more than {most} bytes; send fewer at once")
        if not unpacking.eof:
            raise InvalidInput("body: its gzip is cut off")
        return found

    def read(self, most: int) -> Calls:
        """What it says. Raises as `unpacked`, and MissingExtra for protobuf without its package."""
        data = self.unpacked(most)
        if self.media_type == JSON:
            from brain.telemetry.otlp_json import read_json

            return read_json(self.signal, data)
        with needs("OTLP in protobuf", "telemetry"):
            from brain.telemetry.otlp_protobuf import read_protobuf
        return read_protobuf(self.signal, data)


def accepted(body: OtlpBody, refused: int) -> Response:
    """The answer to a request that is stored, but for so many spans."""
    if body.media_type == JSON:
        partial = {"partialSuccess": {_REFUSED[body.signal]: str(refused), "errorMessage": _WORDS}} if refused else {}
        return Response(msgspec.json.encode(partial), media_type=JSON)
    partial_success = _field(1, _number(1, refused) + _field(2, _WORDS.encode())) if refused else b""
    return Response(partial_success, media_type=PROTOBUF)


def refusal(media_type: str, error: BrainError) -> Response:
    """The answer to a request that failed: a google.rpc.Status in the form of the request."""
    status = 400 if error.status == InvalidInput.status else error.status
    words = str(error) if status < 500 or status == 501 else "not stored; send it again"
    code = {400: 3, 413: 8, 415: 3, 501: 12, 503: 14}.get(status, 13)
    if media_type == JSON:
        answer = Response(msgspec.json.encode({"code": code, "message": words}), status, media_type=JSON)
    else:
        answer = Response(_number(1, code) + _field(2, words.encode()), status, media_type=PROTOBUF)
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer


def _field(number: int, data: bytes) -> bytes:
    """A field of protobuf with a length: https://protobuf.dev/programming-guides/encoding/"""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
