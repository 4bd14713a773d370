"""What stands in for keys and gateways in a simulation: signatures without crypto, evidence of known worth."""

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.oracle.statements import Bundle, Close, Root, Said, evidence_of

Unit = tuple[int, int]
"""(device, window): what is paid for, once."""
KINDS = ("sound", "withholding", "forging", "two-tongued")
WINDOWS = 6


def address(number: int) -> bytes:
    """Of oracle `number`, from 1; gateways' are above 100."""
    return bytes([number]) * 20


def signer_of(root: Root, signature: bytes) -> bytes | None:
    """Whose signature of this root it is."""
    return signature[:20] if signature[20:] == seal_of(root) else None


def seal_of(root: Root) -> bytes:
    """45 bytes that stand for a signature of this root."""
    return hashlib.sha256(repr(root).encode()).digest() + bytes(13)


@dataclass
class Source:
    """A simulated gateway's evidence of an epoch: what it announces, the units in it, and to whom it gives it."""

    close: Said
    bundle: Bundle
    units: tuple[Unit, ...]
    readers: frozenset[int]
    is_sound: bool = True


def make_sources(
    epoch: int, gateways: Iterable[bytes], honest: list[int], is_bad: bool, dice: random.Random
) -> list[Source]:
    """The first gateway is sound; if is_bad the others may withhold, forge, or tell two oracles two things."""
    made: list[Source] = []
    everybody = frozenset(honest)
    for gateway in gateways:
        kind = dice.choice(KINDS) if made and is_bad else "sound"
        half = frozenset(dice.sample(honest, k=len(honest) // 2))
        readers = {"withholding": [half], "two-tongued": [half, everybody - half]}.get(kind, [everybody])
        for part, allowed in enumerate(readers):
            units = dice.sample([(device, window) for device in range(4) for window in range(WINDOWS)], k=8)
            bundle = Bundle(gateway, hashlib.sha256(f"{epoch} {gateway.hex()} {part}".encode()).digest(), 10 * epoch)
            said = Said(gateway, Close(epoch, bundle.digest, bundle.block))
            made.append(Source(said, bundle, tuple(units), allowed, kind != "forging"))
    return made


def root_of(epoch: int, before: int, bundles: tuple[Bundle, ...], sources: list[Source]) -> Root:
    """What the agreed bundles come to: the total before and a wei for each device and window in them."""
    made = {source.bundle: source.units for source in sources}
    units = {
        unit
        for bundle in bundles
        for unit in made.get(bundle.whole(), ())
        if not any(first <= unit[1] <= last for first, last in bundle.missing)
    }
    total = before + len(units)
    return Root(epoch, hashlib.sha256(repr((total, sorted(units))).encode()).digest(), total, evidence_of(bundles))


def count_again(bundles: tuple[Bundle, ...], sources: list[Source]) -> int:
    """The units of the agreed bundles, one after another: what `root_of` has to come to."""
    paid: list[Unit] = []
    for bundle in bundles:
        gaps = [window for first, last in bundle.missing for window in range(first, last + 1)]
        for source in sources:
            if source.bundle == bundle.whole():
                paid += [unit for unit in source.units if unit[1] not in gaps and unit not in paid]
    return len(paid)
