"""Which devices a job is for, pure; refuses a target that names what no device has, or that matches none."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.deeploy.documents import Target, take_order
from gateway.deeploy.requests import Refused


@dataclass(frozen=True)
class Known:
    """A device as the site knows it; deed None: it is not bound."""

    id: bytes
    board: str
    deed: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


def match(name: str, target: Target, known: Iterable[Known]) -> tuple[bytes, ...]:
    """Ids of the devices that a job of this name is for, in the order in which it takes them."""
    found = sorted((device.id for device in known if _is_meant(target, device)), key=lambda id: take_order(name, id))
    return tuple(found[: -(-len(found) * target.percent // 100)])


def check(name: str, target: Target, known: Iterable[Known], boards: Iterable[str]) -> tuple[bytes, ...]:
    """As `match`, of a new job.

    Args:
        boards: that there are, beside those of known devices.
    Raises:
        Refused: a board, device, deed or label that nobody has, or no device is meant.
    """
    devices = list(known)
    lists: dict[str, tuple[Sequence[object], set[Any]]] = {
        "board": (target.boards, {device.board for device in devices} | set(boards)),
        "device": (target.devices, {device.id for device in devices}),
        "deed": (target.deeds, {device.deed for device in devices}),
        "label": (tuple(target.labels.items()), {pair for device in devices for pair in device.labels.items()}),
    }
    for what, (wanted, there) in lists.items():
        for value in wanted:
            if value not in there:
                had = ", ".join(sorted(map(_shown, filter(None, there)))[:8]) or "none"
                raise Refused("unknown", f"target: no device of the site has {what} {_shown(value)}; there are: {had}")
    found = match(name, target, devices)
    if not found:
        what = "no device is known yet" if not devices else f"none of {len(devices)} devices has all that it asks for"
        raise Refused("nothing", f"target: {what}; see `tinyren job ls --devices`")
    return found


def _is_meant(target: Target, device: Known) -> bool:
    return (
        all(device.labels.get(label) == value for label, value in target.labels.items())
        and (not target.boards or device.board in target.boards)
        and (not target.devices or device.id in target.devices)
        and (not target.deeds or device.deed in target.deeds)
    )


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return "=".join(value) if isinstance(value, tuple) else str(value)
