"""What a device says of one inference when it is challenged (WIRE.md, section 16); of each heartbeat it reveals one.

A challenge carries no signature, so rules bound what it can ask for:
  1. It names this boot, a heartbeat that was sent, and an inference that the sampler still keeps.
  2. Of each heartbeat one inference is revealed, and none of one before the last that was revealed. The same challenge
     again has the same answer.
  3. Where the model's manifest names a reader, every answer is sealed to it (seal.py).
"""

from . import cbor
from .cbor import const
from .cose import sign1
from .errors import LocalError, WireError
from .fields import check_bytes, check_int, take_claims, take_fields
from .wire import CHAIN_BYTES, encode_checked, topic

CHALLENGE_MAX_BYTES = const(32)
REVEAL_MAX_BYTES = const(800)
REVEAL = const(-65550)

_U32 = const(0xFFFFFFFF)


def encode_challenge(boot: int, sequence: int, count: int, index: int) -> bytes:
    """Message on tinyren/ID/challenge: inference `index` of those that heartbeat (boot, sequence) counted -> bytes.

    Args:
        count: that heartbeat's. index: 1..count. All u32 from 1.
    """
    return encode_checked([boot, sequence, count, index], decode_challenge)


def decode_challenge(frame: bytes) -> tuple[int, int, int, int]:
    """Message on tinyren/ID/challenge -> (boot, sequence, count, index). Raises WireError."""
    boot, sequence, count, index = take_fields(cbor.decode(frame, CHALLENGE_MAX_BYTES), "challenge", (int,) * 4)
    _check_place(boot, sequence, count, index)
    return boot, sequence, count, index


def sign_reveal(device_id, sign, boot, sequence, count, index, window, outputs, before) -> bytes:
    """encode_reveal, signed -> frame of at most 800 bytes."""
    return sign1(encode_reveal(boot, sequence, count, index, window, outputs, before), device_id, sign)


def encode_reveal(boot: int, sequence: int, count: int, index: int, window: bytes, outputs: bytes, before: bytes):
    """Payload of a reveal -> bytes.

    Args:
        boot, sequence, count, index: the challenge's.
        window: int8, the input of inference `index`.
        outputs: int8, those of the inferences index..count, one after the other.
        before: 16 bytes, the chain before inference `index`.
    """
    body = [boot, sequence, count, index, window, outputs, before]
    return encode_checked({REVEAL: body}, decode_reveal)


def decode_reveal(payload: bytes):
    """Payload of a reveal -> (boot, sequence, count, index, window, outputs, before), as encode_reveal takes them.

    Raises:
        WireError
    """
    (body,) = take_claims(cbor.decode(payload, REVEAL_MAX_BYTES), "reveal", (REVEAL,))
    boot, sequence, count, index, window, outputs, before = take_fields(
        body, "reveal", (int, int, int, int, bytes, bytes, bytes)
    )
    _check_place(boot, sequence, count, index)
    if not window or not outputs or len(outputs) % (count - index + 1):
        raise WireError("malformed", f"outputs: got {len(outputs)} bytes, wanted {count - index + 1} of one length")
    check_bytes(before, "chain", CHAIN_BYTES)
    return boot, sequence, count, index, window, outputs, before


def _check_place(boot, sequence, count, index):
    check_int(boot, "boot", 1, _U32)
    check_int(sequence, "sequence", 1, _U32)
    check_int(count, "count", 1, _U32)
    check_int(index, "index", 1, count)


class Revealer:
    """Answers challenges; `answered` is [sequence, count, index] of the last one."""

    def __init__(self, identity, sampler, boot: int, client, sealer=None):
        """
        Args:
            identity: identity.Identity. sampler: sampling.Sampler. boot: this boot's number. client: mqtt.Client.
            sealer: seal.Sealer, or None: answers are for everybody.
        """
        self.answered = [0, 0, 0]
        self._identity = identity
        self._sampler = sampler
        self._boot = boot
        self._client = client
        self._sealer = sealer

    def receive(self, payload: bytes, sent: int, now_ms: int):
        """Answer a challenge; sent: the sequence of the last heartbeat. Raises WireError: refused, nothing changes."""
        boot, sequence, count, index = decode_challenge(payload)
        check_int(boot, "boot", self._boot, self._boot)
        check_int(sequence, "sequence", max(1, self.answered[0]), sent)
        if sequence == self.answered[0] and [sequence, count, index] != self.answered:
            raise WireError("malformed", "index: got a second one of this heartbeat, wanted the first again")
        receipts = [self._sampler.reveal(number) for number in range(index, min(count, index + self._sampler.kept) + 1)]
        if len(receipts) != count - index + 1 or None in receipts:
            raise WireError("malformed", f"index: got {index} of {count}, wanted one that is kept")
        before, window, _ = receipts[0]
        outputs = b"".join([output for _, _, output in receipts])
        identity = self._identity
        payload = encode_reveal(boot, sequence, count, index, window, outputs, before)
        if self._sealer:
            payload = self._sealer.seal([boot, sequence, count, index], payload)
        frame = sign1(payload, identity.id, identity.sign)
        try:
            self._client.publish(topic(identity.id, "reveal"), frame, now_ms)
        except LocalError:
            raise WireError("too_large", f"reveal: got {len(frame)} bytes, wanted what a packet holds") from None
        self.answered = [sequence, count, index]
