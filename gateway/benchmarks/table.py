"""The result of `tinyren bench` as a table of 80 columns, each figure beside its target; it measures nothing."""

import textwrap
from typing import Any

Path = tuple[str, ...]

COLUMNS = 80
LABEL, CELL = 25, 11
MODEL_LABEL, MODEL_CELLS = 14, (14, 9, 8, 8, 8)

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
    ("EDIL, N=1024 (target: M3)", ("edil", "instructions", "1024")),
    ("  N = 2048", ("edil", "instructions", "2048")),
    ("  N = 4096", ("edil", "instructions", "4096")),
    ("  key agreement", ("edil", "instructions", "ecdh")),
    ("  recovery of a signer", ("edil", "instructions", "recover")),
    ("MEMORY, bytes", ()),
    ("EDIL, N = 1024, and stack", ("edil", "ram_bytes", "1024")),
    ("heap of the running agent", ("heap_bytes", "agent")),
    ("  arena of the model", ("heap_bytes", "arena")),
    ("  free, with a REPL", ("heap_bytes", "free")),
    ("flash", ("flash_bytes", "used")),
    ("  budget", ("flash_bytes", "budget")),
    ("RAM with all of the heap", ("ram_bytes", "used")),
    ("  budget", ("ram_bytes", "budget")),
)
BOARD_TARGETS: dict[Path, str] = {
    ("instructions", "sign"): "sign_instructions",
    ("heap_bytes", "agent"): "heap_bytes",
    ("edil", "instructions", "1024"): "edil_instructions",
    ("edil", "ram_bytes", "1024"): "edil_ram_bytes",
}
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
    ("heartbeats off the broker and on the disk, no workers", ("gateway", "workers_0_per_s")),
    ("  with one worker", ("gateway", "workers_1_per_s")),
    ("  with two workers", ("gateway", "workers_2_per_s")),
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
EDIL_ROWS: tuple[tuple[str, Path], ...] = (
    ("EDIL AT THE GATEWAY, on one core", ()),
    ("updates verified, stored and summed, a second", ("updates_per_s",)),
    ("  without waiting for disk and others", ("updates_per_core_s",)),
    ("ciphertexts checked and summed, a second", ("ciphertexts_per_s",)),
    ("  residues summed by numpy", ("numpy_per_s",)),
    ("  sums of stock TenSEAL CKKS", ("ckks", "sums_per_s")),
    ("encrypted head 16 x 64, ms", ("head_ms",)),
    ("  by stock TenSEAL CKKS", ("ckks", "head_ms")),
    ("bytes of a ciphertext", ("ciphertext_bytes",)),
    ("  of stock TenSEAL CKKS", ("ckks", "ciphertext_bytes")),
    ("upload of a device, one round, bytes", ("round", "upload_bytes")),
    ("  Flower's SecAgg+, four rounds", ("secagg", "upload_bytes")),
    ("16 clients, computation of all, s", ("round", "seconds")),
    ("  Flower's SecAgg+", ("secagg", "seconds")),
)
DEEPLOY_ROWS: tuple[tuple[str, Path], ...] = (
    ("A NEW ENCODER, from the request to the last confirmed", ()),
    ("emulated boards", ("deeploy", "boards", "done")),
    ("  seconds", ("deeploy", "boards", "seconds")),
    ("  bytes down, MQTT payloads", ("deeploy", "boards", "bytes_down")),
    ("  bytes up", ("deeploy", "boards", "bytes_up")),
    ("agents of this computer", ("deeploy", "agents", "done")),
    ("  seconds", ("deeploy", "agents", "seconds")),
    ("  bytes down, MQTT payloads", ("deeploy", "agents", "bytes_down")),
    ("  bytes up", ("deeploy", "agents", "bytes_up")),
)
EDGE_ROWS: tuple[tuple[str, Path], ...] = (
    ("A GATEWAY WITH 1,000 DEVICES", ()),
    ("first start, contracts deployed: ready after, s", ("edge", "first_ready_s")),
    ("next start: ready after, s", ("edge", "ready_s")),
    ("  computed by the gateway itself, s", ("edge", "ready_cpu_s")),
    ("memory of the gateway (PSS), bytes", ("edge", "pss_bytes")),
    ("  of broker and oracles", ("edge", "children_pss_bytes")),
    ("state of all devices as JSON, ms", ("edge", "state_ms")),
    ("FROM A BARE EMULATED BOARD TO A PAID CLAIM, seconds", ()),
)
TARGETS: dict[Path, str] = {
    ("edge", "ready_s"): "ready_s",
    ("first_run",): "first_run_s",
    ("edge", "pss_bytes"): "gateway_pss",
    ("heartbeat_bytes", "worst"): "heartbeat_bytes",
    ("mpy_bytes", "all"): "mpy_bytes",
    ("gateway", "share"): "gateway_share",
    ("r1fs", "share"): "r1fs_share",
    ("cstore", "writers_32", "writes_per_s"): "cstore_writes",
    ("edil", "updates_per_core_s"): "edil_updates_per_core_s",
    ("edil", "ciphertexts_per_s"): "edil_ciphertexts_per_s",
    ("edil", "head_ms"): "edil_head_ms",
    ("deeploy", "agents", "seconds"): "deeploy_s",
}
WORST = {
    "kernel_bytes": "largest of the kernels",
    "tflm_ratio": "ratio to TFLM, worst",
    "tflm_arena": "arena over TFLM's, worst",
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
    lines += _models(result, judged)
    width = LABEL + CELL * (len(boards) - 1)
    places = [
        *ROWS,
        *((label, ("edil", *path) if path else ()) for label, path in EDIL_ROWS),
        *DEEPLOY_ROWS,
        *EDGE_ROWS,
    ]
    rows = [(label, _at(result, path) if path else None, path) for label, path in places]
    rows += _first_run(result)
    rows += [("ORACLES, an epoch: published, delivered", None, ()), *_oracles(result)]
    rows += [("SCORING of one epoch, seconds and peak memory", None, ()), *_scoring(result)]
    rows += [("GAS", None, ()), *((name, value, ()) for name, value in result["gas"].items())]
    for label, value, path in rows:
        cell = "" if value is None else f"{_shown(value, path[-1:] == ('share',)):>{CELL}}"
        lines.append(f"{label:<{width}}{cell}{judged.get(TARGETS.get(path, ''), '')}".rstrip())
    return "\n".join(lines)


def _first_run(result: dict[str, Any]) -> list[tuple[str, float, Path]]:
    """Each board's first run with its stages, and the batch; the slowest board is judged."""
    found, rows = result["first_run"], list[tuple[str, float, Path]]()
    for name, board in found["boards"].items():
        rows.append((name, board["total_s"], ()))
        rows += [(f"  {stage}", seconds, ()) for stage, seconds in board.items() if stage != "total_s"]
    rows.append(("the slowest board", max(board["total_s"] for board in found["boards"].values()), ("first_run",)))
    batch = found["batch"]
    return [*rows, (f"{batch['boards']} boards tested, labelled and in a manifest", batch["seconds"], ())]


def _oracles(result: dict[str, Any]) -> list[tuple[str, int, Path]]:
    """For each number of oracles what they publish and what arrives."""
    return [
        (f"{count} oracles, {name} {what}", row[key], ())
        for count, row in result.get("oracles", {}).items()
        for name, what, key in (
            ("published", "messages", "published"),
            ("published", "bytes", "published_bytes"),
            ("delivered", "bytes", "delivered_bytes"),
        )
    ]


def _scoring(result: dict[str, Any]) -> list[tuple[str, float, Path]]:
    """For each number of devices what an epoch costs an oracle, and what one heartbeat costs before that."""
    found = result.get("scoring", {})
    rows: list[tuple[str, float, Path]] = [
        (f"{int(count):,} devices, {name}", row[key], ())
        for count, row in found.items()
        if isinstance(row, dict)
        for name, key in (("score and tree, s", "total_s"), ("peak memory, bytes", "peak_bytes"))
    ]
    names = {"decode_us": "a heartbeat: decode, us", "verify_us": "a heartbeat: verify its signature, us"}
    return rows + [(name, found[key], ()) for key, name in names.items() if key in found]


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = value[name]
    return "skipped" if value is None else value


def _shown(value: float | str, as_percent: bool = False) -> str:
    if isinstance(value, str):
        return value
    if as_percent:
        return f"{100 * value:.1f} %"
    return f"{value:,}"


def _models(result: dict[str, Any], judged: dict[str, str]) -> list[str]:
    """A heading, then each model with a line a board: instructions of a run, and each way's for a MAC."""
    lines = [_model_cells("MODELS", ("instructions", "a MAC", "bare C", "TFLM", "ratio"))]
    for name, model in result["models"].items():
        tflm = f" (TFLM {model['tflm_arena_bytes']:,})" if model["tflm_arena_bytes"] else ""
        lines.append(f"{name}: {model['macs']:,} MAC; bytes of arena {model['arena_bytes']:,}{tflm},")
        lines.append(f"  of artifact {model['artifact_bytes']:,}, of .tflite {model['tflite_bytes']:,}")
        lines += [line for row in model["boards"].values() for line in _model_lines(row)]
    sizes = ", ".join(f"{name.removeprefix('qemu_')} {size:,}" for name, size in result["kernel_bytes"].items())
    lines += textwrap.wrap(f"all kernels, bytes: {sizes}", COLUMNS, subsequent_indent="  ")
    worst = [(label, name) for name, label in WORST.items() if name in judged]
    return lines + [
        f"{label:<{LABEL}}{_shown(_at(result, ('targets', name, 'got'))):>{CELL}}{judged[name]}"
        for label, name in worst
    ]


def _model_lines(row: dict[str, Any]) -> list[str]:
    counts = (row.get(name) for name in ("per_mac", "bare_per_mac", "tflm_per_mac", "ratio"))
    whole = f"{row['instructions']:,}" if "instructions" in row else "skipped"
    cells = (whole, *("" if count is None else f"{count:.2f}" for count in counts))
    judged = row.get("per_mac", row["bare_per_mac"])
    verdict = ""
    if row["wanted"] is not None and judged is not None:
        verdict = f"  <= {row['wanted']:.1f} {'ok' if judged <= row['wanted'] else 'MISSED'}"
    lines = [(_model_cells(f"  {row['core']}", cells) + verdict).rstrip()]
    if "skipped" in row:
        lines.append("    " + textwrap.shorten(row["skipped"], COLUMNS - 4, placeholder="..."))
    return lines


def _model_cells(label: str, cells: tuple[str, ...]) -> str:
    return label.ljust(MODEL_LABEL) + "".join(
        f"{cell:>{width}}" for cell, width in zip(cells, MODEL_CELLS, strict=True)
    )
