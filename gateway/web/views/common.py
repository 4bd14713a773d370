"""What every page needs of a snapshot, pure: the site's name, its clock, its devices by id and what is said aloud."""

from collections.abc import Iterable, Mapping
from typing import Any

from gateway.web.view import r1, text

STRIP_WINDOWS = 24
LATE_WINDOWS = 2
NEVER, ANSWERING, SILENT, UNBOUND = "not heard yet", "answering", "silent", "not bound"
STATES = (ANSWERING, SILENT, UNBOUND, NEVER)


def common(snapshot: Mapping[str, Any], now_ms: int) -> dict[str, Any]:
    """The context of base.html and of the parts that pages share."""
    settled = [epoch for epoch in snapshot.get("epochs", ()) if epoch.get("state") == "settled"]
    devices, site = list(snapshot.get("devices", ())), text(snapshot.get("site", "site"), 4096)
    return {
        "now_ms": now_ms,
        "window_ms": window_ms(snapshot),
        "site": site,
        "site_name": site.rstrip("/").rpartition("/")[2] or site,
        "chain": snapshot.get("chain", {}),
        "names": {device["id"]: text(device.get("name", "")) for device in devices},
        "all_emulated": bool(devices) and all(device.get("emulated", True) for device in devices),
        "beating": any(device.get("last_heartbeat_ms") for device in devices),
        "said": _said(devices, settled, earned(snapshot)),
    }


def window_ms(snapshot: Mapping[str, Any]) -> int:
    return int(snapshot.get("window_ms", 5_000))


def earned(snapshot: Mapping[str, Any]) -> int:
    """Wei of all deeds since ever."""
    return sum(int(owner.get("earned_wei", 0)) for owner in snapshot.get("owners", ()))


def rows(snapshot: Mapping[str, Any], now_ms: int) -> list[dict[str, Any]]:
    """The devices, each with its state, its last windows and its availability in the newest epoch and as a mean."""
    epochs = list(snapshot.get("epochs", ()))
    return [_row(device, epochs, now_ms, window_ms(snapshot)) for device in snapshot.get("devices", ())]


def _row(device: Mapping[str, Any], epochs: Iterable[Mapping[str, Any]], now_ms: int, window: int) -> dict[str, Any]:
    values = [epoch["availability"][device["id"]] for epoch in epochs if device["id"] in epoch.get("availability", {})]
    recent = [int(bool(answered)) for answered in device.get("recent", ())][-STRIP_WINDOWS:]
    last_ms = device.get("last_heartbeat_ms")
    return {
        **device,
        "state": state(device, now_ms, window),
        "recent": recent,
        "answered": sum(recent),
        "last_ms": last_ms,
        "verdict": values[-1] if values else None,
        "availability": sum(values) // len(values) if values else None,
        "availability_epochs": len(values),
        "offline": device.get("offline") or {},
    }


def state(device: Mapping[str, Any], now_ms: int, window: int) -> str:
    """One of STATES; a device that is heard and not bound earns nothing, so that is what is said of it."""
    last_ms = device.get("last_heartbeat_ms")
    if device.get("deed") is None:
        return UNBOUND
    if not last_ms:
        return NEVER
    return ANSWERING if now_ms - last_ms <= LATE_WINDOWS * window else SILENT


def _said(devices: list[Any], settled: list[Any], wei: int) -> str:
    if not any(device.get("last_heartbeat_ms") for device in devices):
        return "Waiting for the first heartbeat."
    if settled:
        return f"Epoch {settled[-1]['epoch']} is settled, {r1(wei)} R1 earned in all."
    return "Devices answer; no epoch is settled yet."
