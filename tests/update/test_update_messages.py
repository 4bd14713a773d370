"""The messages of updates: vectors, against `cbor2`, `coincurve` and `eth_account`, and foreign bytes."""

import hashlib
import json
from pathlib import Path

import cbor2
import coincurve
import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import eip712, suit, wire
from device.agent.errors import LocalError
from tests.frames import changed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "update.json").read_text())
SIGNERS = {"manifest": VECTORS["key"], "installed": VECTORS["device"]}
MOST = {"manifest": suit.MANIFEST_MAX_BYTES, "installed": suit.INSTALLED_MAX_BYTES}
MESSAGES = ("trust", "manifest", "want", "chunk", "installed", "output")
FUZZ = settings(derandomize=True, max_examples=300, deadline=None)


def named(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=[f"{v['message']} {v['name']}" for v in vectors])


def of(*messages):
    return [vector for vector in VECTORS["valid"] if vector["message"] in messages]


def fields_of(message, frame):
    """Open and decode a frame of any message -> list of its fields."""
    if message == "manifest":
        return suit.open_manifest(frame)[0].values()
    if message == "installed":
        return list(suit.decode_installed(wire.open_sign1(frame, suit.INSTALLED_MAX_BYTES)[1]))
    return list(getattr(suit, f"decode_{message}")(frame))


def frame_of(message, fields):
    """The frame that the vectors' parties make of these fields."""
    if message not in SIGNERS:
        return getattr(suit, f"encode_{message}")(*fields)
    key = coincurve.PrivateKey(bytes.fromhex(SIGNERS[message]["secret"]))
    address = bytes.fromhex(SIGNERS[message]["address"])
    return getattr(suit, f"sign_{message}")(address, lambda digest: key.sign_recoverable(digest, hasher=None), *fields)


def shown(values):
    return [value.hex() if type(value) is bytes else value for value in values]


@named(VECTORS["valid"])
def test_a_vector_decodes_to_its_fields_which_encode_to_its_bytes(vector):
    frame = bytes.fromhex(vector["frame"])
    fields = fields_of(vector["message"], frame)

    assert shown(fields) == list(vector["fields"].values())
    assert frame_of(vector["message"], fields) == frame


@named(of("manifest", "installed"))
def test_cbor2_reads_a_signed_vector_whose_signature_is_its_key_ids(vector):
    protected, unprotected, payload, signature = cbor2.loads(bytes.fromhex(vector["frame"])).value
    signed = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()
    keys = [coincurve.PublicKey.from_signature_and_message(signature + bytes([v]), signed, hasher=None) for v in (0, 1)]

    assert (cbor2.loads(protected), payload.hex(), signed.hex()) == (
        {1: -47}, vector["payload"], vector["signed_digest"],
    )  # fmt: skip
    assert unprotected[4] in [keccak(key.format(compressed=False)[1:])[12:] for key in keys]


@named(VECTORS["invalid"])
def test_a_vector_with_one_fault_is_refused_for_it(vector):
    with pytest.raises(wire.WireError) as refused:
        fields_of(vector["message"], bytes.fromhex(vector["frame"]))

    assert refused.value.reason == vector["reason"]
    assert "got" in str(refused.value) and "wanted" in str(refused.value)


@pytest.mark.parametrize("field", suit.Manifest.FIELDS)
def test_each_field_of_a_manifest_has_a_vector_that_refuses_it(field):
    index, good = suit.Manifest.FIELDS.index(field), cbor2.loads(bytes.fromhex(of("manifest")[0]["payload"]))
    differing = []
    for vector in VECTORS["invalid"]:
        if vector["message"] == "manifest" and vector["reason"] in ("malformed", "wrong_type"):
            try:
                body = cbor2.loads(cbor2.loads(bytes.fromhex(vector["frame"])).value[2])[suit.MANIFEST]
            except (cbor2.CBORDecodeError, AttributeError):
                continue
            differing.append([at for at, (a, b) in enumerate(zip(body, good[suit.MANIFEST], strict=False)) if a != b])

    assert [index] in differing


def test_the_largest_manifest_and_installed_fit_their_limits():
    key = coincurve.PrivateKey(b"\x01" * 32)
    parameters = suit.encode_parameters([-32768] * 4, [15] * 4, 60_000, (2**32 - 1, 255, -128))
    fields = (2**32 - 1, 1, "b" * 32, "a" * 24, 2**32 - 1, b"\xff" * 32, 2**32 - 1, parameters)
    told = (2**32 - 1, 2, 2**32 - 1, 6, "r" * 64, 2**32 - 1, 2**32 - 1, 2**32 - 1)

    sign = lambda digest: key.sign_recoverable(digest, hasher=None)  # noqa: E731

    assert len(suit.sign_manifest(bytes(20), sign, *fields)) <= suit.MANIFEST_MAX_BYTES
    assert len(suit.sign_installed(bytes(20), sign, *told)) <= suit.INSTALLED_MAX_BYTES


def test_what_no_receiver_accepts_cannot_be_encoded():
    for call in (
        lambda: suit.encode_want(bytes(32), 0, 5),
        lambda: suit.encode_chunk(bytes(32), 0, bytes(481)),
        lambda: suit.encode_output(1, bytes(291)),
        lambda: suit.encode_trust(1, bytes(20), bytes(20), 0, bytes(64) + b"\x1b"),
        lambda: suit.encode_parameters([0], [0, 0], 50),
        lambda: suit.sign_installed(bytes(20), None, 1, 1, 0, 7, "", 0, 0, 0),
    ):
        with pytest.raises(LocalError):
            call()
    with pytest.raises(wire.WireError):
        suit.sign_manifest(bytes(20), None, 0, 1, "b", "ren3", 0, bytes(32), 0, suit.encode_parameters([0], [0], 50))


def test_the_trusts_digest_is_eth_accounts_and_its_signature_the_owners():
    chain_id, contract, key, number, signature = fields_of("trust", bytes.fromhex(of("trust")[0]["frame"]))
    owner = bytes.fromhex(VECTORS["owner"]["address"])
    domain = {"name": "tinyren Updates", "version": "1", "chainId": chain_id, "verifyingContract": contract}
    types = {"Trust": [{"name": name, "type": kind} for name, kind in (("owner", "address"), ("key", "address"),
                                                                       ("number", "uint256"))]}  # fmt: skip
    typed = encode_typed_data(domain, types, {"owner": "0x" + owner.hex(), "key": "0x" + key.hex(), "number": number})

    digest = eip712.trust_digest(keccak, chain_id, contract, owner, key, number)

    assert digest == keccak(b"\x19\x01" + typed.header + typed.body) == bytes.fromhex(VECTORS["trust_digest"])
    recoverable = signature[:64] + bytes([signature[64] - 27])
    signer = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    assert signer.format().hex() == VECTORS["owner"]["public"]


# Foreign bytes


@FUZZ
@given(st.sampled_from(MESSAGES), st.binary(max_size=600))
def test_foreign_bytes_are_refused_by_reason_or_are_a_message_in_one_encoding(message, frame):
    try:
        fields = fields_of(message, frame)
    except wire.WireError as error:
        assert error.reason in wire.REASONS
        return
    assert frame_of(message, fields) == frame


@FUZZ
@given(st.sampled_from(VECTORS["valid"]), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_changed_frame_is_refused_by_reason_or_is_another_message_in_one_encoding(vector, at, byte, cut):
    original, frame = changed(vector, at, byte, cut)

    try:
        fields = fields_of(vector["message"], frame)
    except wire.WireError as error:
        assert error.reason in wire.REASONS
        return
    if vector["message"] in SIGNERS:
        assert frame == original or wire.open_sign1(frame, 448) != wire.open_sign1(original, 448)
    else:
        assert frame_of(vector["message"], fields) == frame
