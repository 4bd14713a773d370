"""Builds small sites for the tests of the second scorer: two closed epochs, and a chain with their roots."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import cbor2
from coincurve import PrivateKey
from Crypto.Hash import keccak

from gateway.poai.simulated import INPUT_BYTES, MODEL, run
from gateway.verify.read import Job, Models
from gateway.verify.verify import EPOCH_REWARD_WEI, Result, verify_epoch

KEYS = [PrivateKey.from_int(number) for number in (1, 2, 3, 4)]
OWNER = bytes(range(20))
WINDOWS, WINDOW_MS, START_MS = 4, 5_000, 1_700_000_000_000


def digest(data: bytes) -> bytes:
    return keccak.new(digest_bits=256, data=data).digest()


IDS = [digest(key.public_key.format(compressed=False)[1:])[12:] for key in KEYS]
CLOSE_BLOCK = {1: 20, 2: 40}


def block_hash(number: int) -> bytes:
    return hashlib.sha256(b"block %d" % number).digest()


def opened_ms(epoch: int, window: int) -> int:
    return START_MS + (epoch * WINDOWS + window) * WINDOW_MS


def beacon(epoch: int, window: int) -> bytes:
    place = epoch.to_bytes(4, "big") + window.to_bytes(2, "big")
    return place + hashlib.sha256(b"tinyren beacon" + block_hash(epoch * 10 + window) + place).digest()[:8]


def sign(key: PrivateKey, payload: bytes, kid: bytes, *, header: bytes = bytes.fromhex("a101382e")) -> bytes:
    signed = cbor2.dumps(["Signature1", header, b"", payload])
    return cbor2.dumps(cbor2.CBORTag(18, [header, {4: kid}, payload, key.sign_recoverable(signed)[:64]]))


def heartbeat(device: int, sequence: int, answers: bytes, *, boot: int = 1, signer: int | None = None) -> bytes:
    claims = {10: answers, -65537: [boot, sequence, b"\x01\x55\x12\x20" + bytes(32), 7, bytes(16), 23]}
    return sign(KEYS[device if signer is None else signer], cbor2.dumps(claims), IDS[device])


class FixedChain:
    """A chain that was written down: two deeds with slots, bound from the first block on."""

    def __init__(self) -> None:
        self.roots: dict[int, bytes] = {}
        self.attested: dict[int, bytes] = {}
        self.accounts: dict[int, set[bytes]] = {}
        self.open_jobs: dict[int, list[Job]] = {}
        self.bound = {1: (OWNER, 4, [IDS[0], IDS[1]]), 2: (OWNER, 1, [IDS[2]])}

    def block_hash(self, number: int) -> bytes | None:
        return block_hash(number) if number < 100 else None

    def root(self, epoch: int) -> bytes | None:
        return self.roots.get(epoch)

    def evidence(self, epoch: int) -> bytes | None:
        return self.attested.get(epoch)

    def to_account(self, owners: Collection[bytes], epoch: int, block: int) -> set[bytes]:
        return set(owners) & self.accounts.get(epoch, set())

    def jobs(self, epoch: int, deeds: Collection[int], block: int) -> list[Job]:
        return self.open_jobs.get(epoch, [])

    def models(self) -> Models:
        return {MODEL: (INPUT_BYTES, 16, run)}

    def bindings(self, block: int) -> dict[int, tuple[bytes, int, list[bytes]]]:
        return dict(self.bound)


class Site:
    """A site folder of two closed epochs, and the chain that holds their roots.

    Windows answered by devices 0, 1, 2: in epoch 1 four, three, none; in epoch 2 four, one, four.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.chain = folder, FixedChain()
        (folder / "evidence").mkdir()
        self.windows = {epoch: self._windows(epoch) for epoch in (1, 2)}
        self.items = {1: self._items(1, (4, 3, 0)), 2: self._items(2, (4, 1, 4))}
        deed_1, deed_2 = TABLE
        self.chain.roots = {1: tree({1: deed_1[0], 2: deed_2[0]}), 2: tree({1: sum(deed_1), 2: sum(deed_2)})}

    def _windows(self, epoch: int) -> list[object]:
        opened = [
            [window, opened_ms(epoch, window), block, block_hash(block), beacon(epoch, window)]
            for window, block in enumerate(range(epoch * 10, epoch * 10 + WINDOWS))
        ]
        header = {"epoch": epoch, "windows": WINDOWS, "window_ms": WINDOW_MS, "opened_ms": opened_ms(epoch, 0)}
        return [header, *opened, {"closed_ms": opened_ms(epoch, WINDOWS), "block": CLOSE_BLOCK[epoch]}]

    def _items(self, epoch: int, answered: tuple[int, ...]) -> list[object]:
        return [
            [opened_ms(epoch, window) + 100 + device, heartbeat(device, window + 1, beacon(epoch, window), boot=epoch)]
            for window in range(WINDOWS)
            for device, windows in enumerate(answered)
            if window < windows
        ]

    def path(self, epoch: int, kind: str = "cborseq") -> Path:
        return self.folder / "evidence" / f"epoch-{epoch}.{kind}"

    def verify(self, epoch: int = 2, *, write: bool = True, from_settlement: bool = False) -> Result:
        if write:
            for number in (1, 2):
                self.path(number).write_bytes(b"".join(map(cbor2.dumps, self.items[number])))
                self.path(number, "windows.cborseq").write_bytes(b"".join(map(cbor2.dumps, self.windows[number])))
        return verify_epoch(self.folder, epoch, self.chain, from_settlement=from_settlement)


# 4 of 4 windows is 255, 3 is 191, 1 is 63; deed 1 has 4 slots, deed 2 has one: the wei of epochs 1 and 2.
TABLE = (
    [EPOCH_REWARD_WEI * (255 + 191) // (255 * 4), EPOCH_REWARD_WEI * (255 + 63) // (255 * 4)],
    [0, EPOCH_REWARD_WEI * 255 // 255],
)


def tree(leaves: dict[int, int]) -> bytes:
    """The root of exactly two leaves."""
    hashes = [digest(digest(deed.to_bytes(32, "big") + wei.to_bytes(32, "big"))) for deed, wei in leaves.items()]
    return digest(b"".join(sorted(hashes)))
