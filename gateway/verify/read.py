"""Reads an epoch's evidence for the second scorer (verify.py); refuses every byte that the wire format does not give.

Evidence is two CBOR sequences (RFC 8742). epoch-N.cborseq: [receipt time ms, COSE_Sign1]. epoch-N.windows.cborseq:
{"epoch", "windows", "window_ms", "opened_ms"}, then [window, opened_ms, block number, block hash, beacon] a window that
was opened and, once closed, {"closed_ms", "block"}. Both may come from anyone: damage is a finding, no exception.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, Protocol

import cbor2
from Crypto.Hash import keccak as pycryptodome_keccak

MAX_FINDINGS = 200
BUILT_IN_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799)

Binding = tuple[bytes, int, Sequence[bytes]]
Models = Mapping[bytes, tuple[int, int, Callable[[bytes], bytes]]]
"""By CID: bytes of a model's input, of its output, and the model, input -> output."""


@dataclass(frozen=True)
class Job:
    """An open job for verified work. model: CID; workers: deeds, None for any; most_units: what it buys in all.

    price: of a unit.
    """

    escrow: bytes
    number: int
    model: bytes
    workers: Collection[int] | None
    most_units: int
    price: int = 0


class ChainReader(Protocol):
    """What the verifier asks of a chain. A chain that cannot be reached raises, and that is not caught here."""

    def block_hash(self, number: int) -> bytes | None:
        """The 32-byte hash of a block, or None when the chain has no such block (any number may be asked for)."""

    def root(self, epoch: int) -> bytes | None:
        """The 32-byte root that was settled for an epoch, or None."""

    def evidence(self, epoch: int) -> bytes | None:
        """The 32-byte digest of the evidence that was settled with an epoch's root, or None where none is held."""

    def bindings(self, block: int) -> Mapping[int, Binding]:
        """As of a block, for each deed that has devices: (owner, slots, ids of its devices, 20 bytes each)."""

    def to_account(self, owners: Collection[bytes], epoch: int, block: int) -> Collection[bytes]:
        """As of a block, those owners whose rewards of an epoch go to their account."""

    def jobs(self, epoch: int, deeds: Collection[int], block: int) -> Sequence[Job]:
        """As of a block, the jobs that take verified work of an epoch, with their workers among these deeds."""

    def models(self) -> Models:
        """The models whose work counts."""


class Refused(Exception):
    """A message that does not count; its text is the finding."""


@dataclass
class Findings:
    """What was wrong, in words: the first MAX_FINDINGS of it, and the count of the rest."""

    texts: list[str] = field(default_factory=list)
    left_off: int = 0

    def add(self, text: str) -> None:
        if len(self.texts) < MAX_FINDINGS:
            self.texts.append(text)
        else:
            self.left_off += 1


@dataclass(frozen=True)
class Window:
    """A window that was opened, in ms of the gateway's clock, after a block."""

    beacon: bytes
    opened_ms: int
    block: int


@dataclass
class Windows:
    """The windows that count: `total` is K; window_ms and opened_ms are milliseconds of the gateway's clock."""

    total: int = 0
    window_ms: int = 0
    opened: dict[int, Window] = field(default_factory=dict)
    block: int | None = None  # where bindings are read; None while the epoch is not closed


def read_windows(
    path: Path, epoch: int, chain: ChainReader, findings: Findings, counts: Callable[[int], bool]
) -> Windows:
    """The windows of an epoch that were opened with a beacon from the chain; those that do not count, with any."""
    windows = Windows()
    items = read_sequence(path, findings)
    match next(items, None):
        case {"epoch": int(of_epoch), "windows": int(total), "window_ms": int(window_ms)} if (
            of_epoch == epoch and 0 < total <= 2**16 and window_ms > 0
        ):
            windows.total, windows.window_ms = total, window_ms
        case _:
            findings.add(f"epoch {epoch}: its windows file does not begin with its number, windows and window_ms")
            return windows
    for item in items:
        if windows.block is not None:
            findings.add(f"epoch {epoch}: its windows file goes on after it was closed")
            break
        match item:
            case {"closed_ms": int(), "block": int(block)} if block >= 0:
                windows.block = block
            case [int(window), int(opened_ms), int(block), bytes(block_hash), bytes(beacon)]:
                told = epoch, window, opened_ms, block, block_hash, beacon
                _open_window(windows, told, chain, findings, is_checked=counts(window))
            case _:
                findings.add(f"epoch {epoch}: its windows file holds an item that is neither a window nor the close")
    return windows


def _open_window(
    windows: Windows,
    item: tuple[int, int, int, int, bytes, bytes],
    chain: ChainReader,
    findings: Findings,
    is_checked: bool,
) -> None:
    epoch, window, opened_ms, block, block_hash, beacon = item
    if not 0 <= window < windows.total:
        fault = f"it is not one of 0 to {windows.total - 1}"
    elif window in windows.opened:
        fault = "it was opened before"
    elif beacon != _beacon(epoch, window, block_hash):
        fault = "its beacon does not follow from its block hash"
    elif block < 0 or is_checked and chain.block_hash(block) != block_hash:
        fault = f"the chain's block {block} has another hash"
    else:
        windows.opened[window] = Window(beacon, opened_ms, block)
        return
    findings.add(f"epoch {epoch} window {window}: {fault}")


def _beacon(epoch: int, window: int, block_hash: bytes) -> bytes:
    place = epoch.to_bytes(4, "big") + window.to_bytes(2, "big")
    return place + hashlib.sha256(b"tinyren beacon" + block_hash + place).digest()[:8]


def read_sequence(path: Path, findings: Findings) -> Iterator[Any]:
    """The items of a CBOR sequence, streamed; what follows damage cannot be framed and is a finding."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            while (start := file.tell()) < size:
                try:
                    yield _decoder(file).decode()
                except cbor2.CBORDecodeError:
                    findings.add(f"{path.name}: not CBOR from byte {start} on, {size - start} bytes are not read")
                    return
    except OSError as error:
        findings.add(f"{path.name}: {error.strerror}")


def decode(data: bytes) -> object:
    try:
        return _decoder(BytesIO(data)).decode()
    except cbor2.CBORDecodeError:
        return None


def _decoder(data: BinaryIO) -> cbor2.CBORDecoder:
    """Knows no tag of its own: a big number or a regular expression is work that the sender of the bytes would set."""
    return cbor2.CBORDecoder(data, semantic_decoders=dict.fromkeys(BUILT_IN_TAGS, _refuse_tag))


def _refuse_tag(decoder: cbor2.CBORDecoder, immutable: bool) -> NoReturn:
    raise ValueError("a tag that no evidence holds")


def keccak(data: bytes) -> bytes:
    return pycryptodome_keccak.new(digest_bits=256, data=data).digest()


def checksum(address: bytes) -> str:
    """An address as EIP-55 text."""
    text = address.hex()
    digest = keccak(text.encode()).hex()
    return "0x" + "".join(char.upper() if digit >= "8" else char for char, digit in zip(text, digest, strict=False))
