"""A share-holder's derivations and seal against the vector, and against the specification written out once more."""

import hashlib
import hmac
import json
from pathlib import Path

import coincurve
import numpy as np
import pytest
from Crypto.Cipher import AES, ChaCha20
from Crypto.Hash import SHA256
from Crypto.Protocol.KDF import HKDF
from eth_hash.auto import keccak

from gateway.edil import keys, opening

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "edil_share.json").read_text())
BYTES = {name: bytes.fromhex(value) for name, value in VECTOR.items() if isinstance(value, str) and name != "comment"}
OWNER, HOLDER, DEVICE = (coincurve.PrivateKey(BYTES[f"{name}_secret"]) for name in ("data_owner", "holder", "device"))
DEVICE_ID = keccak(DEVICE.public_key.format(compressed=False)[1:])[12:]
HOLDER_KEY, OWNER_KEY = HOLDER.public_key.format(), OWNER.public_key.format()


def seal(secret):
    return keys.Seal(secret, HOLDER_KEY, OWNER_KEY, BYTES["manifest"], BYTES["set"], VECTOR["j"])


def test_keys_and_share_are_the_vectors():
    k = keys.derive_device_key(HOLDER, DEVICE.public_key.format(), DEVICE_ID, BYTES["enrolment"])
    share = opening.sum_secrets(1024, [(3, BYTES["s_key"])])
    assert k == BYTES["k"] and share[:8].tolist() == VECTOR["share_first"]
    assert hashlib.sha256(share.astype("<i4").tobytes()).hexdigest() == VECTOR["share_sha256"]


def test_both_ends_make_the_vectors_seal_and_nothing_else_opens_it():
    for secret in (HOLDER, OWNER):
        assert seal(secret).close(BYTES["nonce"], BYTES["plain"]) == BYTES["sealed"]
        assert seal(secret).open(BYTES["nonce"], BYTES["sealed"]) == BYTES["plain"]
        for at in range(len(BYTES["sealed"])):
            changed = bytearray(BYTES["sealed"])
            changed[at] ^= 1
            with pytest.raises(ValueError):
                seal(secret).open(BYTES["nonce"], bytes(changed))
    with pytest.raises(ValueError):
        keys.Seal(OWNER, HOLDER_KEY, OWNER_KEY, BYTES["manifest"], BYTES["set"], 2).open(
            BYTES["nonce"], BYTES["sealed"]
        )


def test_the_vector_is_what_the_specification_says():
    def agree(secret, public):
        return hashlib.sha256(coincurve.PublicKey(public).multiply(secret.secret).format()).digest()

    def derive(shared, salt, info):
        return HKDF(shared, 32, salt, SHA256, 1, info)

    shared = agree(DEVICE, HOLDER_KEY)
    k = derive(shared, BYTES["enrolment"], b"tinyren edil key" + DEVICE_ID + HOLDER_KEY)
    s_key = hmac.digest(k, b"tinyren edil s" + BYTES["manifest"] + bytes(2), "sha256")
    assert (k, s_key) == (BYTES["k"], BYTES["s_key"])
    stream = ChaCha20.new(key=s_key, nonce=bytes(12)).encrypt(bytes(8 * 1024))
    words = np.frombuffer(stream, "<u4").reshape(-1, 2)
    small = [bin(u % 2**21).count("1") - bin(v % 2**21).count("1") for u, v in words.tolist()]
    share = np.array([3 * value for value in small], "<i4").tobytes()
    assert hashlib.sha256(share).hexdigest() == VECTOR["share_sha256"]
    key = derive(agree(HOLDER, OWNER_KEY), BYTES["manifest"], b"tinyren edil share" + HOLDER_KEY + OWNER_KEY)
    cipher = AES.new(key, AES.MODE_GCM, nonce=BYTES["nonce"])
    cipher.update(BYTES["manifest"] + BYTES["set"] + b"\x01")
    assert b"".join(cipher.encrypt_and_digest(BYTES["plain"])) == BYTES["sealed"]


@pytest.mark.parametrize("texts", [[], ["04" * 33], ["zz"], ["02" + "00" * 32, "03" + "00" * 32]])
def test_holders_that_are_none_are_refused(texts):
    with pytest.raises(ValueError):
        keys.parse_holders(texts)
    with pytest.raises(ValueError):
        keys.parse_holders([HOLDER_KEY.hex(), *texts])


def test_holders_are_two_to_four_each_once():
    names = [coincurve.PrivateKey(number.to_bytes(32, "big")).public_key.format() for number in range(1, 6)]
    for count in (2, 3, 4):
        assert keys.parse_holders(["0x" + key.hex() for key in names[:count]]) == names[:count]
    for wrong in (names, names[:1], [names[0], names[0]]):
        with pytest.raises(ValueError):
            keys.parse_holders([key.hex() for key in wrong])
