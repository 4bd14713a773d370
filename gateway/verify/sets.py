"""Which files an epoch is scored from a second time; refuses to take anything from the first scorer.

Rules:
1. The root names its evidence by SHA-256 of the SHA-256 of the two files, heartbeats and windows; or, where several
   gateways heard the epoch, by SHA-256 of the set in epoch-N.set.cbor: [[gateway, digest, block, cid, [[first, last]]],
   ...], digests as above, ranges of windows that do not count.
2. A further gateway's files lie in evidence/0xGATEWAY, the site's own in evidence.
3. The close block that counts is the upper median of the gateways'. A window is answered once, whoever heard it, each
   judged by his own windows and clock; two different heartbeats under one (boot, sequence) answer none.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cbor2

from gateway.verify.read import Findings

Answers = dict[bytes, dict[tuple[int, int], tuple[bytes, int]]]
"""{device: {(boot, sequence): (what was signed, window)}}"""


@dataclass(frozen=True)
class Source:
    """One gateway's files, and ranges of windows (first, last) of it that do not count."""

    heartbeats: Path
    windows: Path
    missing: tuple[tuple[int, int], ...] = ()

    def counts(self, window: int) -> bool:
        """Whether a window of it may be answered."""
        return not any(first <= window <= last for first, last in self.missing)

    def digest(self) -> bytes | None:
        """SHA-256 of the files' SHA-256; None: one cannot be read."""
        digests = b""
        for path in (self.heartbeats, self.windows):
            try:
                with path.open("rb") as file:
                    digests += hashlib.file_digest(file, "sha256").digest()
            except OSError:
                return None
        return hashlib.sha256(digests).digest()


def find_sources(site: Path, epoch: int, attested: bytes | None, findings: Findings) -> tuple[list[Source], str | None]:
    """The files to score an epoch from, and what a root of them has to say of its evidence (0x hex).

    Args:
        attested: what the chain's root says of it; None where it says nothing.
    """
    own = _source(site / "evidence", epoch)
    digest, path = own.digest(), site / "evidence" / f"epoch-{epoch}.set.cbor"
    if digest == attested or attested is None or not path.is_file():
        return [own], None if digest is None else "0x" + digest.hex()
    data = path.read_bytes()
    found = []
    try:
        for gateway, wanted, _, _, missing in cbor2.loads(data):
            folder = site / "evidence" / f"0x{gateway.hex()}"
            place = folder if (folder / f"epoch-{epoch}.windows.cborseq").exists() else site / "evidence"
            source = _source(place, epoch, tuple((int(first), int(last)) for first, last in missing))
            if source.digest() != wanted:
                findings.add(f"epoch {epoch}: the evidence of gateway 0x{gateway.hex()} is missing here, or is other")
            found.append(source)
    except Exception as error:  # whatever cbor2 makes of foreign bytes, or of what is no set
        findings.add(f"epoch {epoch}: {path.name} is no set of evidence ({type(error).__name__})")
    return found or [own], "0x" + hashlib.sha256(data).hexdigest()


def answers_of(heard: Iterable[Answers]) -> dict[bytes, int]:
    """How many windows each device answered at any of the gateways."""
    together: Answers = {}
    copied: set[tuple[bytes, tuple[int, int]]] = set()
    for answers in heard:
        for device, places in answers.items():
            known = together.setdefault(device, {})
            for position, answer in places.items():
                if known.setdefault(position, answer) != answer:
                    copied.add((device, position))
    return {
        device: len({window for position, (_, window) in places.items() if (device, position) not in copied})
        for device, places in together.items()
    }


def _source(folder: Path, epoch: int, missing: tuple[tuple[int, int], ...] = ()) -> Source:
    return Source(folder / f"epoch-{epoch}.cborseq", folder / f"epoch-{epoch}.windows.cborseq", missing)
