"""Pictures: of video files and RTSP through PyAV, and of posted images. Needs the extra `vision`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.vision.health import Picture

with needs("video", "vision"):
    import av
    import cv2
    import numpy as np

MOST_PIXELS = 4096 * 4096
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg"
_FILE = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
"""A file may name others, and addresses: none of them is opened."""
_RTSP = {"protocol_whitelist": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,crypto", "rtsp_transport": "tcp"}
PATIENCE = 5.0
"""Seconds that a stream may take to open, and between two pictures."""


class Frame(NamedTuple):
    """A picture of a video. `seconds` is since its first one."""

    seconds: float
    picture: Picture


def frames(source: str, rate: float | None = None) -> Iterator[Frame]:
    """The pictures of a file or a stream, at most `rate` of them a second of it.

    Raises InvalidInput for what is no video, and Unavailable for a stream that does not answer, or ends.
    """
    stream = source.startswith(("rtsp://", "rtsps://"))
    first: float | None = None
    following = 0.0
    try:
        with av.open(source, options=dict(_RTSP if stream else _FILE), timeout=PATIENCE if stream else None) as video:
            if not video.streams.video:
                raise InvalidInput(f"{_shown(source)}: has no video in it")
            track = video.streams.video[0]
            for number, frame in enumerate(video.decode(track)):
                at = frame.time if frame.time is not None else number / float(track.average_rate or 25)
                first = at if first is None else first
                if at - first < following - 1e-6:
                    continue
                if frame.width * frame.height > MOST_PIXELS:
                    raise InvalidInput(f"{_shown(source)}: pictures of {frame.width}x{frame.height} are too large")
                following = at - first + (0.0 if rate is None else 1 / rate)
                yield Frame(at - first, frame.to_ndarray(format="bgr24"))
    except FileNotFoundError as error:
        raise InvalidInput(f"{_shown(source)}: there is no such file") from error
    except (av.FFmpegError, OSError) as error:
        words = f"{_shown(source)}: {type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        raise (Unavailable(words) if stream else InvalidInput(f"{words}; it is no video, or damaged")) from error
    if stream:
        raise Unavailable(f"{_shown(source)}: the stream ended")


def decoded(image: bytes) -> Picture:
    """A posted JPEG or PNG. Raises InvalidInput for another thing, and for one of too many pixels."""
    if not image.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")):
        raise InvalidInput("the body is no JPEG and no PNG")
    size = _size_of(image)
    if size is None or size[0] * size[1] > MOST_PIXELS:
        raise InvalidInput("the image is damaged, or has more than 16 million pixels")
    try:
        found = cv2.imdecode(np.frombuffer(image, dtype=np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InvalidInput(f"the image is damaged: {error}") from error
    if found is None:
        raise InvalidInput("the image is damaged")
    return found


def _size_of(image: bytes) -> tuple[int, int] | None:
    """Width and height as its header has them, before memory is taken for its pixels."""
    if image.startswith(b"\x89PNG"):
        return int.from_bytes(image[16:20]), int.from_bytes(image[20:24])
    at = 2
    while at + 9 < len(image) and image[at] == 0xFF:
        marker = image[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(image[at + 7 : at + 9]), int.from_bytes(image[at + 5 : at + 7])
        else:
            at += 2 + int.from_bytes(image[at + 2 : at + 4])
    return None


def _shown(source: str) -> str:
    """Without the password."""
    scheme, mark, rest = source.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if mark else source
