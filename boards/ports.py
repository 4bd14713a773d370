"""What is plugged in: serial ports, UF2 drives and USB devices without a port (bootloaders, probes); which boards they
can be and which process holds a port. It opens no port and writes nothing.

Sources: pyserial's list_ports; the kernel's Documentation/ABI/testing/sysfs-bus-usb; proc(5).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boards.drive import find_drives
from boards.hardware import hardware_names, load_hardware

SYSFS, PROC = Path("/sys/bus/usb/devices"), Path("/proc")


@dataclass(frozen=True)
class Plugged:
    """One thing that is plugged in.

    kind: "serial", "drive" or "usb"; place: a device node, a folder or a path of sysfs; usb: "vvvv:pppp" or "";
    boards: those that show themselves so; runs: as Usb's, "" if unknown; held_by: "NAME (process PID)".
    """

    kind: str
    place: str
    usb: str
    serial: str
    boards: tuple[str, ...]
    runs: str
    held_by: tuple[str, ...]


def find_plugged(ports: Iterable[Any] | None = None, sysfs: Path = SYSFS, mounts: str | None = None) -> list[Plugged]:
    """All of it. ports, sysfs, mounts: as pyserial, the kernel and /proc/self/mounts tell them, to try it elsewhere."""
    if ports is None:
        from serial.tools.list_ports import comports

        ports = comports()
    found = [_of_port(port) for port in ports if port.vid is not None]
    found += [
        Plugged("drive", str(drive.path), "", "", _boards_of_drive(drive.board_id), "bootloader", ())
        for drive in find_drives(mounts)
    ]
    shown = {(item.usb, item.serial) for item in found}
    return found + [item for item in _usb_devices(sysfs) if item.boards and (item.usb, item.serial) not in shown]


def boards_of_usb(usb: str) -> tuple[tuple[str, ...], str]:
    """Names of the boards with that USB id, and what runs then; ((), "") if none."""
    found = [(name, shown.runs) for name in hardware_names() for shown in load_hardware(name).usb if shown.id == usb]
    return tuple(name for name, _ in found), found[0][1] if found else ""


def holders(device: str, proc: Path = PROC) -> tuple[str, ...]:
    """Which other processes have a device node open, as far as this user may see: "NAME (process PID)"."""
    wanted, found = os.path.realpath(device), []
    for folder in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            if int(folder.name) != os.getpid() and any(_leads_to(wanted, link) for link in (folder / "fd").iterdir()):
                found.append(f"{_text(folder / 'comm')} (process {folder.name})")
        except OSError:
            continue  # it has ended, or is another user's
    return tuple(found)


def _leads_to(wanted: str, link: Path) -> bool:
    try:
        return os.readlink(link) == wanted
    except OSError:
        return False  # it was closed just now


def _of_port(port: Any) -> Plugged:
    usb = f"{port.vid:04x}:{port.pid:04x}"
    boards, runs = boards_of_usb(usb)
    return Plugged("serial", port.device, usb, port.serial_number or "", boards, runs, holders(port.device))


def _boards_of_drive(board_id: str) -> tuple[str, ...]:
    ways = [(name, way) for name in hardware_names() for way in load_hardware(name).flash]
    return tuple(name for name, way in ways if way.drive == board_id)


def _usb_devices(sysfs: Path) -> list[Plugged]:
    found = []
    for folder in sorted(sysfs.glob("*")):
        try:
            usb = ":".join((folder / name).read_text().strip() for name in ("idVendor", "idProduct"))
        except OSError:
            continue  # an interface, or unplugged just now
        serial = folder / "serial"
        boards, runs = boards_of_usb(usb)
        found.append(Plugged("usb", str(folder), usb, _text(serial), boards, runs, ()))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
