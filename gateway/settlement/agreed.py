"""The evidence that oracles agreed on, on a gateway's disk; believes no set but the one whose digest the root names.

    SITE/evidence/epoch-N.*              the site's own
    SITE/evidence/0xGATEWAY/epoch-N.*    a further gateway's, if it is in the set
    SITE/evidence/epoch-N.set.cbor       the set (statements.encode_set); not there where it is the own bundle alone

The root's `evidence` is the own bundle's digest, or SHA-256 of the set.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cbor2

from gateway.intake import evidence
from gateway.oracle import bundles
from gateway.oracle.availability import MAX_WINDOWS, EvidenceError
from gateway.oracle.ballots import Ballots
from gateway.oracle.epoch import Source
from gateway.oracle.messages import Site
from gateway.oracle.statements import Bundle, Decision, encode_set, evidence_of

MAX_SET_BYTES = 1 << 18
GATEWAY_BYTES, DIGEST_BYTES = 20, 32


def set_path(folder: Path, epoch: int) -> Path:
    """Where the set of an epoch lies, in an evidence folder."""
    return folder / f"epoch-{epoch}.set.cbor"


def folder_of(folder: Path, epoch: int, gateway: bytes) -> Path:
    """Where the evidence of one gateway of a set lies: in a folder of its own, or it is the site's."""
    further = folder / f"0x{gateway.hex()}"
    return further if evidence.windows_path(further, epoch).exists() else folder


def attested(folder: Path, epoch: int) -> bytes:
    """What the root of an epoch will say of its evidence, as far as is known here: the set if there is one."""
    path = set_path(folder, epoch)
    return hashlib.sha256(path.read_bytes()).digest() if path.exists() else evidence.digest(folder, epoch)


def sources(folder: Path, epoch: int, root_says: bytes) -> list[Source]:
    """What an epoch is scored from, given what the root says of its evidence; files are compared when it is.

    Raises:
        EvidenceError: the set that lies here is another.
        OSError: a file cannot be read.
    """
    path = set_path(folder, epoch)
    if not path.exists() or evidence.digest(folder, epoch) == root_says:
        return [Source(folder, root_says)]
    data = path.read_bytes()
    if hashlib.sha256(data).digest() != root_says:
        raise EvidenceError(f"{path.name} is not the set that oracles signed, 0x{root_says.hex()}")
    return [Source(folder_of(folder, epoch, item.gateway), item.digest, item.missing) for item in decode_set(data)]


def keep(folder: Path, epoch: int, found: Sequence[Bundle], get: Callable[[str], Iterable[bytes]], site: Site) -> None:
    """Bring the further gateways' bundles of an agreed set here, and then the set; again, it does nothing more.

    Args:
        get: a bundle by its CID, in pieces.
    Raises:
        EvidenceError: what a CID leads to is not that bundle. OSError, StoreError: it cannot be had, or written.
    """
    for bundle in found:
        place = folder / f"0x{bundle.gateway.hex()}"
        is_here = evidence.windows_path(place, epoch).exists() and evidence.digest(place, epoch) == bundle.digest
        if bundle.cid and not is_here:
            bundles.unpack(get(bundle.cid), bundle, epoch, site, place)
    path = set_path(folder, epoch)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(encode_set(tuple(found)))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def decode_set(data: bytes) -> tuple[Bundle, ...]:
    """The set in bytes that `encode_set` made.

    Raises:
        EvidenceError: it is none: another form, twice one gateway, or not the one encoding of what it says.
    """
    try:
        items = cbor2.loads(data) if len(data) <= MAX_SET_BYTES else None
        found = tuple(_bundle(*item) for item in items) if isinstance(items, list) else ()
    except Exception as error:  # cbor2 raises its own errors and, on hostile bytes, those of what it calls
        raise EvidenceError(f"set of evidence: {type(error).__name__}") from None
    if not found or encode_set(found) != data or len({item.gateway for item in found}) != len(found):
        raise EvidenceError("set of evidence: wanted gateways, each once, in deterministic CBOR")
    return found


def _bundle(gateway: object, digest: object, block: object, cid: object, gaps: object) -> Bundle:
    if not (isinstance(gateway, bytes) and isinstance(digest, bytes) and isinstance(cid, str)):
        raise TypeError
    if len(gateway) != GATEWAY_BYTES or len(digest) != DIGEST_BYTES or type(block) is not int or block < 0:
        raise ValueError
    if not isinstance(gaps, list):
        raise TypeError
    missing = tuple((first, last) for first, last in gaps)
    if not all(type(end) is int and 0 <= end < MAX_WINDOWS for gap in missing for end in gap):
        raise ValueError
    return Bundle(gateway, digest, block, cid, missing)


class Agreeing:
    """What oracles decided, until its set is here; for the thread that settles.

    Args:
        folder: of the evidence. oracles: 20 bytes each. get: a bundle by its CID.
    """

    def __init__(
        self, folder: Path, oracles: Sequence[bytes], site: Site, get: Callable[[str], Iterable[bytes]]
    ) -> None:
        self._folder, self._oracles, self._site, self._get = folder, oracles, site, get
        self._decided: tuple[Bundle, ...] = ()

    def take(self, epoch: int, decision: Decision) -> None:
        """A decision, of whomever: it proves itself or changes nothing."""
        proven = Ballots(epoch, self._oracles).proven_by(decision) if decision.epoch == epoch else None
        if proven is not None:
            self._decided = proven.bundles

    def is_here(self, epoch: int, root_says: bytes) -> bool:
        """Whether the evidence that a root names is on this disk; brought here if it was decided on.

        Raises:
            as `keep`.
        """
        if root_says in (attested(self._folder, epoch), evidence.digest(self._folder, epoch)):
            return True
        if not self._decided or evidence_of(self._decided) != root_says:
            return False
        keep(self._folder, epoch, self._decided, self._get, self._site)
        return True
