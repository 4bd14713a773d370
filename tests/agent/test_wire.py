"""The wire format: its vectors, against `cbor2` and `coincurve`, and foreign bytes."""

import hashlib
import json
from pathlib import Path

import cbor2
import coincurve
import pytest
from eth_hash.auto import keccak
from hypothesis import example, given, settings
from hypothesis import strategies as st

from device.agent import cbor, wire
from device.agent.errors import CBORError, LocalError
from tests.frames import changed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire.json").read_text())
DEVICE_ID = bytes.fromhex(VECTORS["device"]["id"])
SECRET = coincurve.PrivateKey(bytes.fromhex(VECTORS["device"]["secret"]))
MODEL = b"\x01\x55\x12\x20" + bytes(32)
SIGNED = {"heartbeat": wire.HEARTBEAT_MAX_BYTES, "announce": wire.ANNOUNCE_MAX_BYTES}
INTEGERS = st.integers(-(2**64), 2**64 - 1)
VALUES = st.recursive(
    INTEGERS | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(INTEGERS | st.binary(max_size=4), inner, max_size=4),
    max_leaves=8,
)
FUZZ = settings(derandomize=True, max_examples=300, deadline=None)


def sign(digest):
    return SECRET.sign_recoverable(digest, hasher=None)


def depth(value):
    inner = value.values() if type(value) is dict else value if type(value) is list else None
    return 0 if inner is None else 1 + max((depth(item) for item in inner), default=0)


def named(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=[f"{v.get('message', '')} {v['name']}" for v in vectors])


def decode(message, frame):
    """Open and decode a frame of any message -> tuple of its fields."""
    if message in SIGNED:
        frame = wire.open_sign1(frame, SIGNED[message])[1]
    return getattr(wire, f"decode_{message}")(frame)


def signer(digest, signature):
    """The two ids that may have made the signature."""
    ids = []
    for recovery_id in (0, 1):
        try:
            key = coincurve.PublicKey.from_signature_and_message(signature + bytes([recovery_id]), digest, hasher=None)
        except Exception:  # noqa: BLE001 - the library raises bare Exception for a signature that recovers to no key
            continue
        ids.append(keccak(key.format(compressed=False)[1:])[12:])
    return ids


@named(VECTORS["valid"])
def test_a_vector_decodes_to_its_fields(vector):
    fields = decode(vector["message"], bytes.fromhex(vector["frame"]))

    assert [f.hex() if type(f) is bytes else f for f in fields] == list(vector["fields"].values())


@named(VECTORS["valid"])
def test_a_vectors_fields_encode_to_its_bytes(vector):
    example = decode(vector["message"], bytes.fromhex(vector["frame"]))

    if vector["message"] in SIGNED:
        frame = getattr(wire, f"sign_{vector['message']}")(DEVICE_ID, sign, *example)
    else:
        frame = getattr(wire, f"encode_{vector['message']}")(*example)

    assert frame.hex() == vector["frame"]


@named([vector for vector in VECTORS["valid"] if vector["message"] in SIGNED])
def test_cbor2_reads_a_signed_vector_and_its_signature_recovers_to_the_device(vector):
    frame = bytes.fromhex(vector["frame"])
    protected, unprotected, payload, signature = cbor2.loads(frame).value
    digest = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()

    assert cbor2.loads(protected) == {1: -47} and unprotected == {4: DEVICE_ID}
    assert wire.open_sign1(frame, SIGNED[vector["message"]]) == (DEVICE_ID, payload, signature, digest)
    assert digest.hex() == vector["digest"] and payload.hex() == vector["payload"]
    assert DEVICE_ID in signer(digest, signature)


@named(VECTORS["invalid"])
def test_a_vector_with_one_fault_is_refused_for_it(vector):
    with pytest.raises(wire.WireError) as refused:
        decode(vector["message"], bytes.fromhex(vector["frame"]))

    assert refused.value.reason == vector["reason"]


@named(VECTORS["unauthentic"])
def test_a_vector_with_another_signature_is_well_formed_and_does_not_recover_to_its_id(vector):
    device_id, payload, signature, digest = wire.open_sign1(bytes.fromhex(vector["frame"]))

    assert wire.decode_heartbeat(payload)
    assert device_id not in signer(digest, signature)


def test_every_reason_has_a_vector():
    assert {vector["reason"] for vector in VECTORS["invalid"]} == set(wire.REASONS)


def test_the_longest_heartbeat_has_192_bytes():
    frame = wire.sign_heartbeat(DEVICE_ID, sign, bytes(14), 2**32 - 1, 2**32 - 1, MODEL, 2**32 - 1, bytes(16), 23)

    assert len(frame) == 192


def test_the_worked_example_of_the_specification_is_its_vector():
    text = (Path(wire.__file__).parent / "WIRE.md").read_text()
    vector = VECTORS["valid"][0]

    for part in (vector["frame"][-128:-64], vector["frame"][-64:], vector["digest"], vector["fields"]["model"][8:]):
        assert part.upper() in text


def test_a_beacon_is_made_as_specified_and_splits_into_epoch_and_window():
    head = (7).to_bytes(4, "big") + (3).to_bytes(2, "big")
    beacon = wire.make_beacon(7, 3, b"\x11" * 32)

    assert beacon == head + hashlib.sha256(b"tinyren beacon" + b"\x11" * 32 + head).digest()[:8]
    assert wire.split_beacon(beacon) == (7, 3)


def test_a_topic_names_the_device_in_lower_case_hex():
    assert wire.topic(b"\xab" * 20, "ack") == "tinyren/" + "ab" * 20 + "/ack"


@pytest.mark.parametrize(
    "call",
    [
        lambda: wire.encode_heartbeat(bytes(13), 1, 1, MODEL, 0, bytes(16), 0),
        lambda: wire.encode_heartbeat(bytes(14), 0, 1, MODEL, 0, bytes(16), 0),
        lambda: wire.encode_heartbeat(bytes(14), 1, 2**32, MODEL, 0, bytes(16), 0),
        lambda: wire.encode_ack(1, -1),
        lambda: wire.encode_bound(1, bytes(65)),
        lambda: wire.encode_samples("s", b""),
        lambda: cbor.encode(1.5),
        lambda: cbor.encode(True),
        lambda: cbor.encode(2**64),
    ],
)
def test_what_no_receiver_accepts_cannot_be_encoded(call):
    with pytest.raises(LocalError):
        call()


@FUZZ
@given(VALUES.filter(lambda value: depth(value) <= cbor.MAX_DEPTH))
def test_encoding_equals_canonical_cbor2_and_decodes_to_the_same_value(value):
    # cbor2's canonical order is RFC 7049's (shorter keys first); RFC 8949's is bytewise, which differs for mixed kinds.
    frame = cbor.encode(value)

    assert cbor2.loads(frame) == value
    assert cbor.decode(frame, len(frame)) == value
    if type(value) is not dict and depth(value) < 2:
        assert frame == cbor2.dumps(value, canonical=True)


@FUZZ
@given(st.dictionaries(st.integers(0, 2**64 - 1), INTEGERS, max_size=9))
def test_maps_with_keys_of_one_kind_equal_canonical_cbor2(value):
    assert cbor.encode(value) == cbor2.dumps(value, canonical=True)


@FUZZ
@given(st.binary(max_size=64))
@example(b"\x9b" + b"\xff" * 8)
@example(b"\x81" * 64)
@example(b"\xf9\x3c\x00")
def test_foreign_bytes_decode_to_what_encodes_to_them_or_raise_cbor_error(data):
    try:
        value = cbor.decode(data, 64)
    except CBORError as error:
        assert error.reason in wire.REASONS and 0 <= error.offset <= len(data)
        assert "got" in str(error) and "wanted" in str(error)
    else:
        assert cbor.encode(value) == data


@FUZZ
@given(st.sampled_from(VECTORS["valid"]), st.integers(0, 10**6), st.integers(0, 255), st.booleans())
def test_a_changed_frame_is_refused_by_reason_or_is_another_message_in_one_encoding(vector, at, byte, cut):
    original, frame = changed(vector, at, byte, cut)

    try:
        fields = decode(vector["message"], frame)
    except wire.WireError as error:
        assert error.reason in wire.REASONS
        return
    if vector["message"] in SIGNED:
        device_id, payload, signature, digest = wire.open_sign1(frame, SIGNED[vector["message"]])
        assert frame == original or device_id not in signer(digest, signature)
    else:
        assert getattr(wire, f"encode_{vector['message']}")(*fields) == frame
