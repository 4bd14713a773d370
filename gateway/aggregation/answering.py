"""Applies data owners' heads to encrypted embeddings and keeps the encrypted logits; opens neither.

An embedding without an answer gets one whenever `work` comes to it: as it arrives, after a restart, or when its round's
head is told later. The answer follows from stored bytes alone, so a crash costs nothing but time. Source: EDIL.md, 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from device.agent import hkdf, rounds
from device.native import edil
from gateway.aggregation import heads, rings
from gateway.aggregation.aggregate import Refused
from gateway.aggregation.messages import Head, open_head
from gateway.aggregation.rounds_store import Answer, Ciphertext, RoundsStore

if TYPE_CHECKING:
    from gateway.aggregation.seal import Product

MAX_AT_ONCE = 64


class Answering:
    """Heads of rounds of kind 4, and SEAL's products for them. Who uses it from several threads holds a lock."""

    def __init__(self, store: RoundsStore) -> None:
        self._store = store
        self._products: dict[bytes, Product] = {}
        self._idle: set[bytes] = set()

    def wake(self, manifest: bytes) -> None:
        """A round has another embedding."""
        self._idle.discard(manifest)

    def tell(self, manifest: rounds.Manifest, frame: bytes, head: Head) -> None:
        """Take a round's head, whose signature was checked, once.

        Raises:
            Refused: it does not fit (heads.py), another one is there, or TenSEAL is not installed.
            StoreFull: nothing was kept.
        """
        heads.check_head(manifest, head)
        known = self._store.head(manifest.digest)
        if known == frame:
            return
        if known is not None:
            raise Refused("twice", "head: got a second one, wanted one a round")
        self._products[manifest.digest] = make_product(manifest, head)
        self._store.keep_head(manifest.digest, frame)
        self.wake(manifest.digest)

    def work(self, manifest: rounds.Manifest) -> bool:
        """Answer what waits, some of it; whether more may wait. Raises StoreFull: nothing of it was kept."""
        digest = manifest.digest
        frame = None if digest in self._idle else self._store.head(digest)
        waiting = self._store.unanswered(digest, MAX_AT_ONCE) if frame else []
        if not frame or not waiting:
            self._idle.add(digest)
            return False
        if digest not in self._products:
            self._products[digest] = make_product(manifest, open_head(frame).body)
        product = self._products[digest]
        self._store.add_answers(digest, [apply_head(manifest, product, one) for one in waiting])
        return True


def make_product(manifest: rounds.Manifest, head: Head) -> Product:
    """What applies a head that fits. Raises Refused: TenSEAL is not installed, or another than seal.py is for."""
    try:
        from gateway.aggregation import seal
    except ImportError as error:
        raise Refused("head", f"{error.name} is not installed: pip install tinyren[edil]") from error
    ring = rings.RINGS[manifest.ring]
    try:
        return seal.Product(ring, heads.polynomial(head), heads.biases(ring, head))
    except seal.SealMismatch as error:
        raise Refused("head", str(error)) from error


def apply_head(manifest: rounds.Manifest, product: Product, query: Ciphertext) -> Answer:
    """The encrypted logits of one embedding, as EDIL.md, section 7, has them."""
    ring = rings.RINGS[manifest.ring]
    b = memoryview(bytearray(edil.unpack(ring.n, query.content))).cast("I")
    for place in (ring.n - 2, ring.n - 1):
        b[place] = (b[place] - ring.scale(1)) % ring.q
    a = edil.uniform(ring.n, hkdf.a_key(manifest.digest, query.device, query.place))
    logits = product.apply(b, a)
    return Answer(query.device, query.place, b"".join(edil.pack(ring.n, residues) for residues in logits))
