"""What a job may use at most, and what of it must have been tried before paid work runs; starts nothing.

Every limit has a default, none has "unlimited", and each is a whole number between two bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.workloads.errors import Invalid

NETWORKS = ("none", "bridge")
CONTAINER, WASM = "container", "wasm"
PROVEN = {
    CONTAINER: ("memory", "cpu", "pids", "network", "root", "time", "log"),
    WASM: ("memory", "fuel", "time", "root"),
}
"""What the canary has to prove for each kind of job. A scratch volume needs "scratch" as well."""

BOUNDS = {
    "memory_bytes": (8 << 20, 1 << 40),
    "cpu_percent": (1, 100 * 1024),
    "pids": (1, 32768),
    "time_s": (1, 366 * 86400),
    "fuel": (1, 1 << 62),
    "log_bytes": (4096, 1 << 30),
}
ALLOWED = {
    CONTAINER: {"memory_bytes", "cpu_percent", "pids", "time_s", "log_bytes", "network"},
    WASM: {"memory_bytes", "fuel", "time_s", "log_bytes"},
}


@dataclass(frozen=True)
class Limits:
    """cpu_percent: of one core, 150 is a core and a half. fuel: of WebAssembly, about one for each instruction."""

    memory_bytes: int = 256 << 20
    cpu_percent: int = 100
    pids: int = 64
    time_s: int = 86400
    fuel: int = 1 << 50
    log_bytes: int = 1 << 20
    network: str = "none"


def parse_limits(table: Mapping[str, object], kind: str) -> Limits:
    """The limits of a table. Invalid: one that this kind of job does not have, or out of its bounds."""
    values: dict[str, int] = {}
    network = "none"
    for name, value in table.items():
        if name not in ALLOWED[kind]:
            raise Invalid(f"limits.{name}: got a limit that a {kind} job does not have, wanted {sorted(ALLOWED[kind])}")
        if name == "network":
            if value not in NETWORKS:
                raise Invalid(f"limits.network: got {value!r}, wanted one of {', '.join(NETWORKS)}")
            network = str(value)
            continue
        values[name] = whole(f"limits.{name}", value, *BOUNDS[name])
    return Limits(**values, network=network)


def whole(field: str, value: object, least: int, most: int) -> int:
    """A whole number between two bounds. Invalid: it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"{field}: got {value!r}, wanted a whole number from {least} to {most}")
    return value
