"""What EDIL costs the gateway, beside a plain numpy sum, stock TenSEAL CKKS and, if installed, Flower's SecAgg+.

Everything runs on this thread. "Updates" are whole ones: header and parts as messages, every check, the ciphertext on
the disk and synced, `taken` made, and their share of the sum and the signed set at the end. "Ciphertexts" are the same
residues alone, unpacked, checked and added, in turns with numpy's, which are unpacked before the clock starts; both by
this thread's own time, so that other programs do not count. Rates are this machine's at this moment. CKKS has the
parameters of TenSEAL's own examples.
"""

import hashlib
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from coincurve import PrivateKey

from device.agent import eip712, rounds, wire
from device.native import edil
from gateway import curve
from gateway.aggregation import aggregate, rings
from gateway.aggregation.answering import apply_head, make_product
from gateway.aggregation.messages import Head
from gateway.aggregation.rounds_store import Ciphertext, RoundsStore
from gateway.aggregation.service import Aggregation
from gateway.benchmarks import secagg as bench_secagg
from gateway.intake.registry import Device

DEVICES = 256
CLIENTS = 16
RING = rings.RINGS[1024]
VALUES = 1022
CLASSES, WIDTH = 16, 64
MODEL = bytes.fromhex("01551220") + bytes(32)
DOMAIN = 1, bytes(20)
NOW_MS = 1_000
REPEATS = 9

Sign = Callable[[bytes], bytes]


def measure(folder: Path | None = None, rounds_run: int = 4) -> dict[str, Any]:
    """The figures; what this returns is their list. A second of a core is one in which this thread ran.

    Args:
        folder: where the store lies meanwhile; on a disk.
        rounds_run: how many rounds of 256 devices.
    Raises:
        ModuleNotFoundError: TenSEAL or numpy is not installed.
    """
    stock = ckks()
    keys = [PrivateKey(number.to_bytes(32, "big")) for number in range(1, DEVICES + 3)]
    ciphertexts = [encrypt(number) for number in range(DEVICES)]
    with tempfile.TemporaryDirectory(dir=folder) as name:
        taken = [take_round(Path(name) / f"{number}.sqlite", keys, ciphertexts) for number in range(rounds_run)]
        small = whole_round(Path(name) / "small.sqlite", [*keys[:CLIENTS], *keys[-2:]])
    ours, plain = sums_per_s(ciphertexts)
    return {
        "updates_per_s": round(DEVICES / median(wall_s for wall_s, _ in taken)),
        "updates_per_core_s": round(DEVICES / median(core_s for _, core_s in taken)),
        "ciphertexts_per_s": ours,
        "numpy_per_s": plain,
        "head_ms": head_ms(ciphertexts[0]),
        "ciphertext_bytes": len(ciphertexts[0]),
        "ckks": stock,
        "round": small,
        "secagg": secagg(),
    }


def whole_round(path: Path, keys: list[PrivateKey]) -> dict[str, Any]:
    """A round as SecAgg+ is measured: {"clients", "values", "rounds", "upload_bytes", "seconds"}.

    Seconds are encryption, the gateway, both share-holders' sums and the opening; key agreement is once, at enrolment.
    """
    started = time.perf_counter()
    ciphertexts = [encrypt(number) for number in range(CLIENTS)]
    gateway_s, _ = take_round(path, keys, ciphertexts)
    s_keys = b"".join(seed(number) + seed(number)[::-1] for number in range(CLIENTS))
    edil.product(RING.n, bytes(32), edil.secret(RING.n, s_keys))
    others_s = time.perf_counter() - started
    messages = upload(bytes(20), sign_with(keys[0]), bytes(32), bytes(32), ciphertexts[0])
    sent = sum(len(payload) for _, payload, _ in messages)
    return {
        "clients": CLIENTS,
        "values": VALUES,
        "rounds": 1,
        "upload_bytes": sent,
        "gateway_seconds": round(gateway_s, 3),
        "seconds": round(others_s, 3),
    }


def ckks() -> dict[str, Any]:
    """Stock TenSEAL CKKS, the same vector: a ciphertext's bytes, encryption, sums from bytes, and the same head."""
    from gateway.aggregation.seal import tenseal

    context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40, 60], n_threads=1)
    context.global_scale = 2**40
    context.generate_galois_keys()
    vector = [float(value % 128) for value in range(VALUES)]
    serialized = tenseal.ckks_vector(context, vector).serialize()
    total = tenseal.ckks_vector_from(context, serialized)
    matrix = [[float((row * at) % 3 - 1) for row in range(1, CLASSES + 1)] for at in range(WIDTH)]
    embedding = tenseal.ckks_vector(context, vector[:WIDTH])
    added_s = median(timed(lambda: total.add_(tenseal.ckks_vector_from(context, serialized))) for _ in range(REPEATS))
    return {
        "ciphertext_bytes": len(serialized),
        "encrypt_ms": milliseconds(lambda: tenseal.ckks_vector(context, vector)),
        "sums_per_s": round(1 / added_s),
        "head_ms": milliseconds(lambda: embedding.mm(matrix), 3),
    }


def secagg() -> dict[str, Any]:
    """Flower's SecAgg+ on the same vector: by the Python that TINYREN_FLWR names, else by this one if it has flwr."""
    python = os.environ.get("TINYREN_FLWR")
    if not python:
        return bench_secagg.measure(CLIENTS, VALUES)
    command = [python, "-m", "gateway.benchmarks.secagg", "--clients", str(CLIENTS), "--values", str(VALUES)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    if done.returncode:
        return bench_secagg.skipped(f"TINYREN_FLWR failed with {done.returncode}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def encrypt(number: int) -> bytes:
    """A ciphertext of 1,022 values of one digit, two share-holders."""
    own = seed(number)
    values, work = (number % 128).to_bytes(4, "little") * VALUES, bytearray(4 * RING.n)
    size = edil.encrypt(RING.n, own + own[::-1], bytes(32), hashlib.sha256(own).digest(), values, 1, 1, work)
    return bytes(work[:size])


def seed(number: int) -> bytes:
    """A device's secret for one share-holder; reversed, for the other."""
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


def take_round(path: Path, keys: list[PrivateKey], ciphertexts: list[bytes]) -> tuple[float, float]:
    """Seconds for one round's updates, received, verified, stored, summed: on the clock, and of a core's time.

    The first has the disk's and other programs' share in it. keys: the devices', owner's, a share-holder's.
    """
    *devices, owner, holder = keys
    known = {curve.address_of(key.secret): key for key in devices}
    registry = {
        device: Device(device, key.public_key.format(), "bench", "none", "0", MODEL, "none", 1)
        for device, key in known.items()
    }
    owners = dict.fromkeys(known, curve.address_of(owner.secret))
    told: list[tuple[str, bytes]] = []
    store = RoundsStore(path)
    gateway = Aggregation(
        store, owner, DOMAIN, registry, lambda: owners, lambda *message: told.append(message), lambda: NOW_MS
    )
    manifest, enrolment = open_round(gateway, owner, holder)
    messages = [
        message
        for (device, key), ciphertext in zip(known.items(), ciphertexts, strict=True)
        for message in upload(device, sign_with(key), manifest, enrolment, ciphertext)
    ]
    started = time.perf_counter(), time.thread_time()
    gateway.take(messages)
    gateway.close_round(manifest)
    seconds = time.perf_counter() - started[0], time.thread_time() - started[1]
    stored = [rounds.decode_taken(payload)[2] for topic, payload in told if topic.endswith("/taken")]
    state = gateway.status(manifest)["state"]
    store.close()
    if stored != ["stored"] * len(devices) or state != "closed":
        raise AssertionError(f"{stored.count('stored')} of {len(devices)} updates stored")
    return seconds


def open_round(gateway: Aggregation, owner: PrivateKey, holder: PrivateKey) -> tuple[bytes, bytes]:
    """(M, Enrolment digest) of a round of kind 5 that the owner opens as its own data owner."""
    holders = [owner.public_key.format(), holder.public_key.format()]
    address = curve.address_of(owner.secret)
    digest = eip712.enrolment_digest(curve.keccak, *DOMAIN, address, holders, 1)
    signature = owner.sign_recoverable(digest, hasher=None)
    frame = rounds.encode_enrol(*DOMAIN, holders, 1, signature[:64] + bytes([27 + signature[64]]))
    enrolment = gateway.enrol(address, frame)
    named = eip712.holders_digest(curve.keccak, holders)
    fields = (1, RING.n, MODEL, rounds.VECTOR, 8, 0, 0, VALUES, 255, 127, 1, 2, 1000, 2 * NOW_MS, named)
    return gateway.open_round(rounds.sign_manifest(rounds.Manifest(*fields), address, sign_with(owner))), enrolment


def upload(
    device: bytes, sign: Sign, manifest: bytes, enrolment: bytes, ciphertext: bytes
) -> list[tuple[str, bytes, int]]:
    """Header and parts, as the bus gives them."""
    digest = hashlib.sha256(ciphertext).digest()
    header = rounds.sign_update(device, sign, manifest, enrolment, 0, 1, digest)
    parts = [
        rounds.encode_part(digest, at, ciphertext[at : at + rounds.PART_BYTES])
        for at in range(0, len(ciphertext), rounds.PART_BYTES)
    ]
    topic = wire.topic(device, "part")
    return [(wire.topic(device, "update"), header, NOW_MS), *((topic, part, NOW_MS) for part in parts)]


def sums_per_s(ciphertexts: list[bytes]) -> tuple[int, int]:
    """Ciphertexts a second of a core: ours from packed bytes; numpy's from residues that are unpacked already."""
    import numpy as np

    residues = [np.frombuffer(edil.unpack(RING.n, one), np.uint32).astype(np.uint64) for one in ciphertexts]
    seconds: dict[str, list[float]] = {"ours": [], "numpy": []}
    for _ in range(REPEATS):
        started = time.thread_time()
        packed = aggregate.sum_ciphertexts(RING.n, ((1, one) for one in ciphertexts))
        between = time.thread_time()
        total = np.zeros(RING.n, np.uint64)
        for one in residues:
            total += one
        total %= np.uint64(RING.q)
        seconds["ours"].append(between - started)
        seconds["numpy"].append(time.thread_time() - between)
        if edil.unpack(RING.n, packed) != total.astype(np.uint32).tobytes():
            raise AssertionError("our sum is not numpy's")
    ours, plain = (round(len(ciphertexts) / median(series)) for series in seconds.values())
    return ours, plain


def head_ms(ciphertext: bytes) -> float:
    """Milliseconds for the encrypted logits of one embedding by a head of 16 classes of 64 weights: bytes to bytes."""
    manifest = rounds.Manifest(1, RING.n, MODEL, rounds.INFERENCE, WIDTH, 0, 0, 0, 1, 127, 1, 2, 1, 1, bytes(32))
    manifest.digest = bytes(32)
    rows = tuple(tuple((row * at) % 3 - 1 for at in range(WIDTH)) for row in range(1, CLASSES + 1))
    product = make_product(manifest, Head(bytes(32), rows, (0,) * CLASSES))
    query = Ciphertext(bytes(32), bytes(20), 0, bytes(32), bytes(32), b"", ciphertext, NOW_MS)
    return milliseconds(lambda: apply_head(manifest, product, query))


def milliseconds(call: Callable[[], object], times: int = 5 * REPEATS) -> float:
    """Median of so many calls."""
    return round(1000 * median(timed(call) for _ in range(times)), 3)


def timed(call: Callable[[], object]) -> float:
    """Seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def sign_with(key: PrivateKey) -> Sign:
    """What messages are signed with."""
    return lambda digest: bytes(key.sign_recoverable(digest, hasher=None))
