"""The metrics of hardware for `/metrics`: the last readings of this process, and what it did with robots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

if TYPE_CHECKING:
    from brain.hardware.monitor import Monitor
    from brain.hardware.service import HardwareService


def hardware_metrics(service: HardwareService, monitor: Monitor) -> Sequence[Metric]:
    """What is not available has no sample."""
    values = GaugeMetricFamily("brain_hardware_value", "The last reading", labels=["device", "metric"])
    for device, metrics in monitor.values.items():
        for metric, value in metrics.items():
            values.add_metric([device, metric], value)
    failures = CounterMetricFamily("brain_hardware_reading_failures", "Readings not made or kept", monitor.failures)
    waiting = GaugeMetricFamily("brain_hardware_commands_waiting", "Commands that wait", labels=["robot"])
    for name, control in service.robots.items():
        waiting.add_metric([name], control.waiting)
    robots = CounterMetricFamily("brain_hardware_robots", "Commands and stops of robots", labels=["what"])
    for what, count in sorted(service.parts.counts.items()):
        robots.add_metric([what], count)
    refused = CounterMetricFamily("brain_hardware_commands_refused", "Commands not sent", labels=["code"])
    for code, count in sorted(service.parts.refusals.counts.items()):
        refused.add_metric([code], count)
    return [values, failures, waiting, robots, refused]
