"""What hardware reads: control groups and pressure from files, sensors that are not there, forecasts, metrics."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from brain.errors import InvalidInput
from brain.hardware.cgroups import ControlGroup, read_cgroup
from brain.hardware.forecasts import forecast
from brain.hardware.host import HostSensors
from brain.hardware.pressure import Pressure, read_pressure
from brain.hardware.readings import metrics_of, metrics_of_robot
from brain.hardware.settings import HardwareSettings, LimitSettings

GIB = 1 << 30
DRIVER = {"proc/driver/nvidia/version": "NVRM"}
"""What the kernel shows where NVIDIA's driver is loaded."""


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_limits_of_a_control_group_of_version_2_are_the_least_on_its_way_up(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
            "sys/fs/cgroup/pod/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/pod/box/memory.max": "max\n",
            "sys/fs/cgroup/pod/box/cpu.max": "max 100000\n",
            "sys/fs/cgroup/pod/box/memory.current": f"{GIB}\n",
            "sys/fs/cgroup/pod/box/memory.stat": f"anon 5\ninactive_file {GIB // 4}\n",
        },
    )
    assert read_cgroup(root) == ControlGroup(version=2, memory_limit=2 * GIB, memory_used=3 * GIB // 4, cpu_limit=1.5)


def test_the_same_of_version_1_where_a_number_stands_for_no_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
    }
    root = written(tmp_path, files)
    assert read_cgroup(root) == ControlGroup(version=1, memory_limit=None, memory_used=GIB, cpu_limit=None)
    written(root, {"sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n"})
    written(root, {"sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "50000\n"})
    assert read_cgroup(root) == ControlGroup(version=1, memory_limit=GIB, memory_used=GIB, cpu_limit=0.5)


def test_inside_a_container_the_groups_files_are_at_the_top(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/../../host/path\n",
        "sys/fs/cgroup/cgroup.controllers": "memory\n",
        "sys/fs/cgroup/memory.max": f"{GIB}\n",
    }
    found = read_cgroup(written(tmp_path, files))
    assert found == ControlGroup(version=2, memory_limit=GIB, memory_used=None, cpu_limit=None)


SMART = {
    "device": {"name": "/dev/nvme0n1"},
    "local_time": {"time_t": 1_800_000_000},
    "model_name": "TestNVMe",
    "smart_status": {"passed": True},
    "temperature": {"current": 41},
    "power_on_time": {"hours": 3150},
    "nvme_smart_health_information_log": {"percentage_used": 102, "media_errors": 0},
}
SECTORS = [{"id": 5, "raw": {"value": 7}}, {"id": 9, "raw": {"value": 99}}, {"id": 197, "raw": {"value": 1}}]


def test_disks_by_their_own_account(tmp_path: Path) -> None:
    failing = {"device": {"name": "/dev/sda"}, "local_time": SMART["local_time"], "smart_status": {"passed": False}}
    documents = {
        "nvme.json": SMART,
        "sda.json": {**failing, "ata_smart_attributes": {"table": SECTORS}},
        "old.json": {**SMART, "device": {"name": "/dev/sdb"}, "local_time": {"time_t": 1_799_000_000}},
        "refused.json": {"local_time": SMART["local_time"], "smartctl": {"exit_status": 2}},
    }
    written(tmp_path, {name: json.dumps(document) for name, document in documents.items()} | {"cut.json": "{"})
    sensors = HostSensors(smart=(f"{tmp_path}/*.json",), clock=lambda: 1_800_000_100.0)
    reading = sensors.read()
    assert reading.smart is not None
    nvme, sda = reading.smart
    assert (nvme.name, nvme.model, nvme.passed, nvme.hours, nvme.bad_sectors) == ("nvme0n1", "TestNVMe", True, 3150, 0)
    assert (sda.name, sda.passed, sda.temperature, sda.used_percent, sda.bad_sectors) == ("sda", False, None, None, 8)
    values = {name: value for name, value in metrics_of(reading).items() if "smart" in name or "disk/" in name}
    assert values == {
        "temperature:disk/nvme0n1": 41.0,
        "smart_failed:nvme0n1": 0.0,
        "smart_used_percent:nvme0n1": 102.0,
        "smart_bad_sectors:nvme0n1": 0.0,
        "smart_failed:sda": 1.0,
        "smart_bad_sectors:sda": 8.0,
    }
    limit = HardwareSettings().limit_for("smart_failed:sda")
    assert limit is not None
    assert limit.limit == 1.0


@pytest.mark.parametrize(
    ("patterns", "why"),
    [((), "no file of smartctl is set"), (("*.json",), "there is no such file"), (("cut",), "cut: ")],
)
def test_disks_that_say_nothing_are_not_available(tmp_path: Path, patterns: tuple[str, ...], why: str) -> None:
    written(tmp_path, {"cut": '{"device": '})
    reading = HostSensors(smart=[f"{tmp_path}/{pattern}" for pattern in patterns]).read()
    assert reading.smart is None
    assert why in reading.unavailable["smart"]


def test_a_host_without_control_groups_and_pressure_says_so(tmp_path: Path) -> None:
    assert read_cgroup(tmp_path) is None
    assert read_pressure(tmp_path) is None
    reading = HostSensors(root=tmp_path).read()
    assert (reading.cgroup, reading.pressure) == (None, None)
    assert reading.unavailable["pressure"] == "the kernel does not say"


def test_pressure_is_the_share_of_the_last_ten_seconds(tmp_path: Path) -> None:
    some = "some avg10=12.34 avg60=0.00 avg300=0.00 total=7\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=7\n"
    root = written(tmp_path, {"proc/pressure/cpu": some, "proc/pressure/io": "nonsense\n"})
    assert read_pressure(root) == Pressure(cpu=12.34, memory=None, io=None)


def test_memory_is_that_of_the_control_group_where_it_is_less(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/cgroup.controllers": "cpu memory\n",
        "sys/fs/cgroup/memory.max": f"{64 << 20}\n",
        "sys/fs/cgroup/memory.current": f"{48 << 20}\n",
        "sys/fs/cgroup/cpu.max": "50000 100000\n",
    }
    reading = HostSensors(root=written(tmp_path, files)).read()
    assert reading.memory is not None
    assert reading.cpu is not None
    assert (reading.memory.total, reading.memory.percent, reading.cpu.usable) == (64 << 20, 75.0, 0.5)


def test_what_is_not_there_is_none_and_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    for name in ("sensors_temperatures", "sensors_fans"):
        monkeypatch.setattr(psutil, name, dict, raising=False)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: None, raising=False)
    monkeypatch.setattr(psutil, "cpu_freq", lambda: SimpleNamespace(current=0.0, min=0.0, max=0.0), raising=False)
    reading = HostSensors().read()
    assert (reading.temperatures, reading.fans, reading.battery) == (None, None, None)
    assert reading.cpu is not None
    assert (reading.cpu.percent, reading.cpu.mhz) == (None, None)  # the first reading of all; a clock of 0
    for name in ("temperatures", "fans", "battery", "gpus"):
        assert reading.unavailable[name]
    assert not {name for name in metrics_of(reading) if name.startswith(("cpu_percent", "temperature", "fan"))}


def test_sensors_that_are_there_are_named_by_chip_and_label(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    chips = {"coretemp": [SimpleNamespace(label="Core 0", current=81.5), SimpleNamespace(label="", current=None)]}
    battery = SimpleNamespace(percent=62, secsleft=psutil.POWER_TIME_UNLIMITED, power_plugged=True)
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: chips, raising=False)
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery, raising=False)
    reading = HostSensors().read()
    assert metrics_of(reading)["temperature:coretemp/Core 0"] == 81.5
    assert metrics_of(reading)["battery_percent"] == 62.0
    assert reading.battery is not None
    assert reading.battery.seconds_left is None


@pytest.mark.parametrize(("package", "extra", "part"), [("psutil", "hardware", "memory"), ("pynvml", "gpu", "gpus")])
def test_without_a_package_the_rest_is_read_and_the_pip_line_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, extra: str, part: str
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    reading = HostSensors(root=written(tmp_path, DRIVER)).read()
    assert getattr(reading, part) is None
    assert reading.unavailable[part].endswith(f"run: pip install 'brain-eventstream[{extra}]'")
    assert (reading.memory is None) == (part == "memory")


def test_a_graphics_card_is_read_by_its_driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import pynvml

    def unsupported(card: object) -> float:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    answers = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetName": lambda card: "A card",
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(total=8 * GIB, used=6 * GIB),
        "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=40),
        "nvmlDeviceGetTemperature": lambda card, sensor: 71,
        "nvmlDeviceGetPowerUsage": unsupported,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    assert HostSensors(root=tmp_path).read().unavailable["gpus"] == "no NVIDIA driver is loaded"
    reading = HostSensors(root=written(tmp_path, DRIVER)).read()
    assert reading.gpus is not None
    assert (reading.gpus[0].name, reading.gpus[0].watts) == ("A card", None)
    found = metrics_of(reading)
    assert (found["gpu_percent:0"], found["gpu_memory_percent:0"], found["temperature:gpu/0"]) == (40, 75, 71)


def test_a_robots_words_become_metrics_where_they_are_numbers() -> None:
    said = {
        "battery_percentage": 41.5,
        "battery_voltage": "29 V",
        "motor_states": [{"motor_id": 3, "temperature": 55}, {"temperature": None}, "off"],
    }
    assert metrics_of_robot(said) == {"battery_percent": 41.5, "temperature:motor/3": 55.0}
    assert metrics_of_robot({"battery_percentage": True, "motor_states": None}) == {}


def test_a_disk_that_fills_on_a_line_has_a_time_at_which_it_is_full() -> None:
    hours = [(1_703_000_000.0 + 600 * step, 60.0 + 0.5 * step) for step in range(12)]  # 3 % an hour
    found = forecast(hours)
    assert found is not None
    assert found.slope == pytest.approx(3.0)
    assert found.r2 == pytest.approx(1.0)
    assert found.hours == pytest.approx((100 - 65.5) / 3)
    assert not found.is_news_after(found.exhausted_at + 3600)
    assert found.is_news_after(found.exhausted_at + 4 * 3600)


@pytest.mark.parametrize(
    "values",
    [
        [60.0] * 12,
        [60.0 - 0.1 * step for step in range(12)],
        [60.0, 75.0] * 6,
        [60.0, 61.0, 62.0, 63.0, 64.0],
    ],
    ids=["level", "falls", "swings", "too few"],
)
def test_what_does_not_rise_on_a_line_has_none(values: list[float]) -> None:
    assert forecast([(1_703_000_000.0 + 600 * step, value) for step, value in enumerate(values)]) is None


def test_the_first_limit_that_fits_a_metric_holds() -> None:
    special = LimitSettings(metric="disk_percent:/data", limit=50)
    settings = HardwareSettings(limits=(special, LimitSettings(metric="disk_percent", limit=90)))
    found = [settings.limit_for(name) for name in ("disk_percent:/data", "disk_percent:/", "memory_percent")]
    assert [limit and limit.limit for limit in found] == [50, 90, None]
    with pytest.raises(ValueError, match="clear"):
        LimitSettings(metric="disk_percent", limit=90, clear=95)


def test_a_robots_settings_name_what_is_wrong_in_them() -> None:
    from brain.hardware.drivers import driver_kinds, find_driver, make_driver

    assert driver_kinds() == ["gpio", "http", "mock"]
    with pytest.raises(InvalidInput, match="no kind 'warp' is installed; take gpio, http, mock"):
        find_driver("warp")
    with pytest.raises(InvalidInput) as error:
        make_driver("rover", "http", {"url": "not a url", "speed": 3})
    faults = ("hardware.robots.rover.options.url", "hardware.robots.rover.options.speed")
    assert [fault.startswith(name) for fault, name in zip(error.value.faults, faults, strict=True)] == [True, True]
    assert find_driver("brain.hardware.mock:MockDriver").__name__ == "MockDriver"
    for wrong in ("brain.hardware.nothing:Driver", "brain.hardware.mock:MockSettings"):
        with pytest.raises(InvalidInput, match="driver: "):
            find_driver(wrong)
