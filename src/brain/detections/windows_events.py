"""Events of Windows as JSON, as tools write them from .evtx files: their fields without nesting, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.detections.models import LogKind

_SYSMON: Mapping[int, tuple[str, ...]] = {
    1: ("process_creation",), 2: ("file_change",), 3: ("network_connection",), 4: ("sysmon_status",),
    5: ("process_termination",), 6: ("driver_load",), 7: ("image_load",), 8: ("create_remote_thread",),
    9: ("raw_access_thread",), 10: ("process_access",), 11: ("file_event",), 12: ("registry_event", "registry_add",
    "registry_delete"), 13: ("registry_event", "registry_set"), 14: ("registry_event", "registry_rename"),
    15: ("create_stream_hash",), 16: ("sysmon_status",), 17: ("pipe_created",), 18: ("pipe_created",),
    19: ("wmi_event",), 20: ("wmi_event",), 21: ("wmi_event",), 22: ("dns_query",), 23: ("file_delete",),
    25: ("process_tampering",), 26: ("file_delete",), 27: ("file_block_executable",), 28: ("file_block_shredding",),
    29: ("file_executable_detected",), 255: ("sysmon_error",),
}  # fmt: skip
_SERVICES: Mapping[str, str] = {
    "security": "security", "system": "system", "application": "application",
    "windows powershell": "powershell-classic",
    "microsoft-windows-powershell/operational": "powershell", "powershellcore/operational": "powershell",
    "microsoft-windows-sysmon/operational": "sysmon", "microsoft-windows-windows defender/operational": "windefend",
    "microsoft-windows-taskscheduler/operational": "taskscheduler", "microsoft-windows-wmi-activity/operational": "wmi",
    "microsoft-windows-dns-client/operational": "dns-client", "dns server": "dns-server",
    "microsoft-windows-bits-client/operational": "bits-client", "microsoft-windows-ntlm/operational": "ntlm",
    "microsoft-windows-codeintegrity/operational": "codeintegrity-operational",
    "microsoft-windows-applocker/exe and dll": "applocker", "microsoft-windows-appxdeploymentserver/operational":
    "appxdeployment-server", "microsoft-windows-terminalservices-localsessionmanager/operational":
    "terminalservices-localsessionmanager",
}  # fmt: skip
"""Sigma's names of the services, by the channel in lower case."""
_POWERSHELL: Mapping[tuple[str, int], str] = {
    ("powershell", 4104): "ps_script", ("powershell", 4103): "ps_module",
    ("powershell-classic", 400): "ps_classic_start", ("powershell-classic", 600): "ps_classic_provider_start",
}  # fmt: skip


def is_windows_event(data: Mapping[str, Any]) -> bool:
    """Whether this is the shape of an event of Windows: Event, System, EventData."""
    event = data.get("Event")
    return isinstance(event, Mapping) and isinstance(event.get("System"), Mapping)


def flat_windows_event(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of System, EventData and UserData; a name with blanks is there without them, too."""
    event = data["Event"]
    flat: dict[str, Any] = {}
    for name, value in event["System"].items():
        inner = value.get("#attributes") if isinstance(value, Mapping) else None
        if isinstance(inner, Mapping):
            flat.update({f"{name}_{key}" if key in ("Name", "Guid") else str(key): one for key, one in inner.items()})
            value = value.get("#text", inner.get("Name"))
        if value is not None:
            flat[str(name)] = value
    for part in ("EventData", "UserData"):
        inner = event.get(part)
        if isinstance(inner, Mapping):
            _add(flat, inner, part == "UserData")
    return flat


def _add(flat: dict[str, Any], inner: Mapping[str, Any], deep: bool) -> None:
    for name, value in inner.items():
        if name == "#attributes":
            continue
        if deep and isinstance(value, Mapping):
            _add(flat, value, False)
            continue
        flat[str(name)] = value
        if " " in name:
            flat.setdefault(name.replace(" ", ""), value)


def windows_kind(flat: Mapping[str, Any]) -> LogKind:
    """What a rule's logsource says of such an event."""
    service = _SERVICES.get(str(flat.get("Channel", "")).lower())
    try:
        number = int(flat.get("EventID", -1))
    except (TypeError, ValueError):
        number = -1
    categories: tuple[str, ...] = ()
    if service == "sysmon":
        categories = _SYSMON.get(number, ())
    elif service == "security" and number == 4688:
        categories = ("process_creation",)
    elif service is not None and (service, number) in _POWERSHELL:
        categories = (_POWERSHELL[service, number],)
    return LogKind(categories, ("windows",), () if service is None else (service,))
