"""The figures of `tinyren bench` in the order in which they are shown, with their labels; pure, it draws nothing."""

from typing import Any

Path = tuple[str, ...]
Row = tuple[str, float | str | None, Path]  # label, figure (None: a heading), where it stands in the result

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
    ("first page in Chromium, empty cache: loaded, ms", ("edge", "page", "loaded_ms")),
    ("  its first content painted, ms", ("edge", "page", "painted_ms")),
    ("  over the wire, bytes", ("edge", "page", "sent_bytes")),
    ("table of devices: loaded, ms", ("edge", "fleet", "loaded_ms")),
    ("  over the wire, bytes", ("edge", "fleet", "sent_bytes")),
    ("AN AGENT AS A PROCESS OF THIS COMPUTER", ()),
    ("memory (PSS), bytes", ("sbc", "pss_bytes")),
    ("  with all of what it shares (RSS)", ("sbc", "rss_bytes")),
    ("FROM A BARE EMULATED BOARD TO A PAID CLAIM, seconds", ()),
)
FIRST_RUN_JUDGED = {"flash": "flash", "first_heartbeat": "exec to first heartbeat", "total": "exec to a paid claim"}
TARGETS: dict[Path, str] = {
    ("edge", "ready_s"): "ready_s",
    ("first_run", "flash"): "flash_s",
    ("first_run", "first_heartbeat"): "first_heartbeat_s",
    ("first_run", "total"): "first_run_s",
    ("edge", "pss_bytes"): "gateway_pss",
    ("edge", "page", "loaded_ms"): "page_ms",
    ("edge", "page", "sent_bytes"): "page_bytes",
    ("sbc", "pss_bytes"): "sbc_pss",
    ("heartbeat_bytes", "worst"): "heartbeat_bytes",
    ("mpy_bytes", "all"): "mpy_bytes",
    ("gateway", "share"): "gateway_share",
    ("r1fs", "share"): "r1fs_share",
    ("cstore", "writers_32", "writes_per_s"): "cstore_writes",
    ("edil", "updates_per_core_s"): "edil_updates_per_core_s",
    ("edil", "ciphertexts_per_s"): "edil_ciphertexts_per_s",
    ("edil", "head_ms"): "edil_head_ms",
    ("deeploy", "agents", "seconds"): "deeploy_s",
    ("scoring", "1000000", "total_s"): "million_s",
    ("scoring", "1000000", "peak_bytes"): "million_bytes",
    ("gas", "post a root, 3 of 5"): "post_gas",
    ("gas", "claim of an account for 10,000 deeds, 1,000,000 leaves"): "claim_gas",
}
WORST = {
    "kernel_bytes": "largest of the kernels",
    "tflm_ratio": "ratio to TFLM, worst",
    "tflm_arena": "arena over TFLM's, worst",
}


def plain_rows(result: dict[str, Any]) -> list[Row]:
    """All figures that are not of boards or models, under their headings."""
    places = [
        *ROWS,
        *((label, ("edil", *path) if path else ()) for label, path in EDIL_ROWS),
        *DEEPLOY_ROWS,
        *EDGE_ROWS,
    ]
    rows: list[Row] = [(label, at(result, path) if path else None, path) for label, path in places]
    rows += _first_run(result)
    rows += [("ORACLES, an epoch: published, delivered", None, ()), *oracle_rows(result)]
    rows += [("SCORING of one epoch, seconds and peak memory", None, ()), *scoring_rows(result)]
    return rows + [("GAS", None, ()), *((name, value, ("gas", name)) for name, value in result["gas"].items())]


def _first_run(result: dict[str, Any]) -> list[Row]:
    """Each board's first run with its stages, and the batch; of what is judged the slowest board's."""
    found, rows = result["first_run"], list[Row]()
    for name, board in found["boards"].items():
        rows.append((name, None, ()))
        rows += [(f"  {stage.replace('_', ' ')}", seconds, ()) for stage, seconds in board.items()]
    for stage, words in FIRST_RUN_JUDGED.items():
        slowest = max(board[stage] for board in found["boards"].values())
        rows.append((f"the slowest board: {words}", slowest, ("first_run", stage)))
    batch = found["batch"]
    return [*rows, (f"{batch['boards']} boards tested, labelled and in a manifest", batch["seconds"], ())]


def oracle_rows(result: dict[str, Any]) -> list[Row]:
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


def scoring_rows(result: dict[str, Any]) -> list[Row]:
    """For each number of devices what an epoch costs an oracle, and what one heartbeat costs before that."""
    found = result.get("scoring", {})
    rows: list[Row] = [
        (f"{int(count):,} devices, {name}", row[key], ("scoring", count, key))
        for count, row in found.items()
        if isinstance(row, dict)
        for name, key in (("score and tree, s", "total_s"), ("peak memory, bytes", "peak_bytes"))
    ]
    names = {"decode_us": "a heartbeat: decode, us", "verify_us": "a heartbeat: verify its signature, us"}
    return rows + [(name, found[key], ()) for key, name in names.items() if key in found]


def at(value: Any, path: Path) -> Any:
    """The figure of a result, or of a board's part of it; "skipped" where there is none."""
    for name in path:
        value = value[name]
    return "skipped" if value is None else value
