"""The result of `tinyren bench` as a table of 80 columns, each figure beside its target; it measures nothing."""

from typing import Any

Path = tuple[str, ...]

LABEL, CELL = 25, 11

# Label, and where the figure stands in a board's part of the result.
BOARD_ROWS: tuple[tuple[str, Path], ...] = (
    ("INSTRUCTIONS (not cycles)", ()),
    ("signature (target: M3)", ("instructions", "sign")),
    ("encoder, one window", ("instructions", "encoder")),
    ("  multiply-accumulates", ("instructions", "encoder_macs")),
    ("  instructions for each", ("instructions", "per_mac")),
    ("heartbeat, whole", ("instructions", "heartbeat")),
    ("  signature", ("instructions", "heartbeat_parts", "sign")),
    ("  CBOR and COSE", ("instructions", "heartbeat_parts", "message")),
    ("  SHA-256", ("instructions", "heartbeat_parts", "hash")),
    ("  MQTT, in and out", ("instructions", "heartbeat_parts", "mqtt")),
    ("MEMORY, bytes", ()),
    ("heap of the running agent", ("heap_bytes", "agent")),
    ("  arena of the model", ("heap_bytes", "arena")),
    ("  free, with a REPL", ("heap_bytes", "free")),
    ("flash", ("flash_bytes", "used")),
    ("  budget", ("flash_bytes", "budget")),
    ("RAM with all of the heap", ("ram_bytes", "used")),
    ("  budget", ("ram_bytes", "budget")),
)
BOARD_TARGETS: dict[Path, str] = {("instructions", "sign"): "sign_instructions", ("heap_bytes", "agent"): "heap_bytes"}
ROWS: tuple[tuple[str, Path], ...] = (
    ("HEARTBEAT AND AGENT, bytes", ()),
    ("heartbeat, an hour after the third boot", ("heartbeat_bytes", "typical")),
    ("heartbeat, every number as long as it gets", ("heartbeat_bytes", "worst")),
    ("bytecode of the agent and drivers (.mpy)", ("mpy_bytes", "all")),
    ("THIS MACHINE, a second, on one core", ()),
    ("heartbeats verified and on the disk", ("gateway", "ingest_per_s")),
    ("bare verifications, in turns with them", ("gateway", "bare_per_s")),
    ("  the first as a share of the second", ("gateway", "share")),
    ("signatures by coincurve", ("gateway", "sign_per_s")),
    ("transactions of the embedded chain, on the disk", ("chain", "transactions_per_s")),
    ("R1FS, MB a second", ()),
    ("plain SHA-256 of a file", ("r1fs", "hash_mb_per_s")),
    ("added, on the disk, in turns with it", ("r1fs", "add_mb_per_s")),
    ("  the second as a share of the first", ("r1fs", "share")),
    ("sealed and added", ("r1fs", "sealed_mb_per_s")),
    ("read, hashed again", ("r1fs", "get_mb_per_s")),
    ("js-ipfs: added, where it is installed", ("r1fs", "jsipfs_add_mb_per_s")),
    ("js-ipfs: read", ("r1fs", "jsipfs_get_mb_per_s")),
    ("CSTORE, durable writes a second, embedded", ()),
    ("32 writers, syncs shared", ("cstore", "writers_32", "writes_per_s")),
    ("  p99, ms", ("cstore", "writers_32", "p99_ms")),
    ("1 writer", ("cstore", "one_writer", "writes_per_s")),
    ("  p99, ms", ("cstore", "one_writer", "p99_ms")),
    ("bare SQLite, 1 writer, in turns with them", ("cstore", "bare_sqlite", "writes_per_s")),
    ("bare syncs, in turns with them", ("cstore", "bare_sync", "writes_per_s")),
    ("CSTORE, 3 NATS servers on this one machine", ()),
    ("32 writers", ("cstore", "cluster_writers_32", "writes_per_s")),
    ("  p99, ms", ("cstore", "cluster_writers_32", "p99_ms")),
    ("1 writer", ("cstore", "cluster_one_writer", "writes_per_s")),
    ("  p99, ms", ("cstore", "cluster_one_writer", "p99_ms")),
)
TARGETS: dict[Path, str] = {
    ("heartbeat_bytes", "worst"): "heartbeat_bytes",
    ("mpy_bytes", "all"): "mpy_bytes",
    ("gateway", "share"): "gateway_share",
    ("r1fs", "share"): "r1fs_share",
    ("cstore", "writers_32", "writes_per_s"): "cstore_writes",
}


def table(result: dict[str, Any]) -> str:
    """Text of the result of bench.bench."""
    found, boards = result["machine"], result["boards"].values()
    verdicts = {True: "ok", False: "MISSED"}
    judged = {name: f"  {row['wanted']} {verdicts[row['holds']]}" for name, row in result["targets"].items()}
    lines = [
        f"tinyren bench on {found['cpu']}, {found['cores']} cores, Python {found['python']}, QEMU {found['qemu']}",
        "The boards are emulated: QEMU counts instructions and has no pipeline, cache or",
        "wait states, so these figures compare code with code, not boards with boards.",
        "",
        "".join([" " * LABEL, *(f"{board['core']:>{CELL}}" for board in boards), "  target"]),
    ]
    for label, path in BOARD_ROWS:
        cells = [f"{_shown(_at(board, path)):>{CELL}}" for board in boards] if path else []
        lines.append("".join([f"{label:<{LABEL}}", *cells, judged.get(BOARD_TARGETS.get(path, ""), "")]).rstrip())
    width = LABEL + CELL * (len(boards) - 1)
    rows = [(label, _at(result, path) if path else None, path) for label, path in ROWS]
    rows += [("GAS", None, ()), *((name, value, ()) for name, value in result["gas"].items())]
    for label, value, path in rows:
        cell = "" if value is None else f"{_shown(value, path[-1:] == ('share',)):>{CELL}}"
        lines.append(f"{label:<{width}}{cell}{judged.get(TARGETS.get(path, ''), '')}".rstrip())
    return "\n".join(lines)


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return value


def _shown(value: float, as_percent: bool = False) -> str:
    if as_percent:
        return f"{100 * value:.1f} %"
    return f"{value:,}"
