"""NVIDIA graphics cards, by nvidia-ml-py: what the driver says of each, or why it says nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from brain.extras import pip_line

T = TypeVar("T")


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """A graphics card; null is what its driver does not say."""

    name: str
    percent: Annotated[float | None, Meta(description="Percent of the time in which it computed.")]
    memory_total: Annotated[int | None, Meta(description="Bytes.")]
    memory_used: Annotated[int | None, Meta(description="Bytes.")]
    temperature: Annotated[float | None, Meta(description="Degrees Celsius.")]
    watts: Annotated[float | None, Meta(description="What it draws.")]


_SIGNS = ("proc/driver/nvidia", "dev/nvidiactl", "dev/dxg")
"""What a loaded driver shows on Linux; the last one under Windows."""


def read_gpus(root: Path = Path("/")) -> tuple[tuple[Gpu, ...] | None, str]:
    """The cards; or None, and why none can be read. `root` has `proc` and `dev`.

    The package takes 14 MB of memory, so it is not imported where no driver is.
    """
    if sys.platform == "linux" and not any((root / sign).exists() for sign in _SIGNS):
        return None, "no NVIDIA driver is loaded"
    try:
        import pynvml
    except ImportError:
        return None, f"nvidia-ml-py is not installed; run: {pip_line('gpu')}"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return None, f"the NVIDIA driver does not answer: {error}"
    try:
        cards = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_card(pynvml, card) for card in cards), ""
    except pynvml.NVMLError as error:
        return None, f"the NVIDIA driver does not answer: {error}"
    finally:
        pynvml.nvmlShutdown()


def _card(nvml: Any, card: Any) -> Gpu:
    name = nvml.nvmlDeviceGetName(card)
    memory = _ask(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(card))
    busy = _ask(nvml, lambda: float(nvml.nvmlDeviceGetUtilizationRates(card).gpu))
    return Gpu(
        name=name.decode() if isinstance(name, bytes) else str(name),
        percent=busy,
        memory_total=None if memory is None else int(memory.total),
        memory_used=None if memory is None else int(memory.used),
        temperature=_ask(nvml, lambda: float(nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU))),
        watts=_ask(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(card) / 1000.0),
    )


def _ask(nvml: Any, question: Callable[[], T]) -> T | None:
    """The answer; None for what this card does not support."""
    try:
        return question()
    except nvml.NVMLError:
        return None
