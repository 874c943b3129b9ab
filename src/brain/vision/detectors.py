"""Detectors: those that OpenCV brings, and ONNX files whose bytes somebody approved. Needs the extra `vision`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from brain.errors import InvalidInput
from brain.extras import needs
from brain.vision.boxes import Box, Detection
from brain.vision.health import Picture, grey
from brain.vision.settings import ModelSettings

with needs("detectors", "vision"):
    import cv2
    import numpy as np

Detector = Callable[[Picture], list[Detection]]
_WIDEST = 640
_SURE, _BESIDE = 0.5, 32
"""How sure the detector of people must be; how many pixels beside the picture it looks, for those at its edge."""
_OVERLAP = 0.45
"""Two boxes of a model that overlap more are one."""


def built_in(name: str) -> Detector:
    """A detector that OpenCV brings. Raises InvalidInput when it is an OpenCV without it, and KeyError."""
    return {"faces": faces, "people": people}[name]()


def faces() -> Detector:
    """Faces that look at the camera, by the cascade that OpenCV brings; its boxes have no confidence: it is 1.

    P. Viola and M. Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
    """
    _check_opencv("CascadeClassifier")
    file = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
    cascade = cv2.CascadeClassifier(str(file))

    def find(picture: Picture) -> list[Detection]:
        shades = _narrowed(grey(picture))
        high, wide = shades.shape[:2]
        least = max(24, min(high, wide) // 10)
        boxes = cascade.detectMultiScale(shades, 1.1, 3, minSize=(least, least))
        return [_detection("face", 1.0, box, wide, high) for box in boxes]

    return find


def people() -> Detector:
    """People who stand or walk, by the detector that OpenCV brings.

    N. Dalal and B. Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005.
    """
    _check_opencv("HOGDescriptor")
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def find(picture: Picture) -> list[Detection]:
        seen = _narrowed(picture)
        high, wide = seen.shape[:2]
        if wide < 64 or high < 128:  # less than one person's window
            return []
        boxes, weights = hog.detectMultiScale(
            seen, hitThreshold=_SURE, winStride=(8, 8), padding=(_BESIDE, _BESIDE), scale=1.05
        )
        sure = [min(max(float(weight), 0.0), 1.0) for weight in np.ravel(weights)]
        return [_detection("person", one, box, wide, high) for box, one in zip(boxes, sure, strict=True)]

    return find


def onnx_model(settings: ModelSettings, approved: Callable[[str], None]) -> Detector:
    """The model of the settings; `approved` is called with its SHA-256 before anything of it is used, and may raise.

    What was hashed is what runs: the file is read once. Raises InvalidInput for what is no model of that form.
    """
    with needs("models", "vision"):
        import onnxruntime

    try:
        content = Path(settings.file).read_bytes()
    except OSError as error:
        raise InvalidInput(f"{settings.file}: cannot be read: {error.strerror or error}") from error
    approved(hashlib.sha256(content).hexdigest())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvalidInput(f"{settings.file}: is no ONNX model that can be run: {error}") from error
    name = session.get_inputs()[0].name

    def find(picture: Picture) -> list[Detection]:
        tensor, scale = _letterbox(picture, settings.size)
        try:
            rows = np.asarray(session.run(None, {name: tensor})[0])
        except Exception as error:
            raise InvalidInput(f"{settings.file}: cannot look at a picture: {error}") from error
        return _found(rows, settings, scale, picture.shape)

    return find


def _found(rows: Any, settings: ModelSettings, scale: float, shape: Sequence[int]) -> list[Detection]:
    """What the output of a model means, in fractions of the picture."""
    boxes, sure, classes = _read_rows(rows, settings)
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), sure.tolist(), classes.tolist(), settings.confidence, _OVERLAP)
    high, wide = shape[0] * scale, shape[1] * scale
    return [
        _detection(settings.labels[int(classes[place])], float(sure[place]), boxes[place], wide, high)
        for place in np.ravel(kept)
    ]


def _read_rows(rows: Any, settings: ModelSettings) -> tuple[Any, Any, Any]:
    """Boxes as left, top, width, height in pixels of the model's picture, how sure, and the class of each."""
    count = len(settings.labels)
    width = 6 if settings.output == "boxes" else 4 + count
    rows = rows[0] if rows.ndim == 3 else rows
    if settings.output == "yolo" and rows.ndim == 2:
        rows = rows.T
    if rows.ndim != 2 or rows.shape[1] != width or not np.isfinite(rows).all():
        raise InvalidInput(f"{settings.file}: gives {rows.shape}, and not rows of {width} finite numbers")
    if settings.output == "boxes":
        boxes = np.column_stack([rows[:, :2], rows[:, 2:4] - rows[:, :2]])
        sure, classes = rows[:, 4], rows[:, 5].astype(int)
    else:
        boxes = np.column_stack([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]])
        sure, classes = rows[:, 4:].max(axis=1), rows[:, 4:].argmax(axis=1)
    good = (sure >= settings.confidence) & (classes >= 0) & (classes < count)
    return boxes[good], sure[good], classes[good]


def _letterbox(picture: Picture, size: int) -> tuple[Any, float]:
    """The picture in the upper left of a grey square, as the tensor that models take, and its scale."""
    high, wide = picture.shape[:2]
    scale = size / max(high, wide)
    colours = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    small = cv2.resize(colours, (max(1, round(wide * scale)), max(1, round(high * scale))))
    square = np.full((size, size, 3), 114, dtype=np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    tensor = square[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    return np.ascontiguousarray(tensor), scale


def _detection(label: str, confidence: float, box: Sequence[float], wide: float, high: float) -> Detection:
    x, y, w, h = (float(value) for value in box)
    return Detection(label=label, confidence=confidence, box=Box(x / wide, y / high, w / wide, h / high))


def _narrowed(shades: Picture) -> Picture:
    high, wide = shades.shape[:2]
    if wide <= _WIDEST:
        return shades
    return cv2.resize(shades, (_WIDEST, max(1, high * _WIDEST // wide)), interpolation=cv2.INTER_AREA)


def _check_opencv(needed: str) -> None:
    """OpenCV 5 has neither: another package may have put it over the one of the extra."""
    if not hasattr(cv2, needed):
        words = f"OpenCV {cv2.__version__} has no {needed}: something installed OpenCV 5 over it"
        raise InvalidInput(f"{words}; run: pip install --force-reinstall 'opencv-python-headless>=4.12,<5'")
