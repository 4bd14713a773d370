"""EDIL's messages and keys: vectors, against `cbor2`, `coincurve`, `eth_account` and `hmac`, and foreign bytes."""

import hashlib
import hmac
import json
from pathlib import Path

import cbor2
import coincurve
import pytest
from eth_account.messages import encode_typed_data
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import eip712, hkdf, rounds, wire
from device.agent.errors import LocalError
from tests.frames import changed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "edil_messages.json").read_text())
HOLDERS = [bytes.fromhex(holder["public"]) for holder in VECTORS["holders"]]
OWNER = bytes.fromhex(VECTORS["owner"]["address"])
DEVICE = bytes.fromhex(VECTORS["device"]["id"])
ENROLMENT = VECTORS["enrolment"]
SIGNERS = {"manifest": VECTORS["holders"][0], "update": VECTORS["device"]}
FUZZ = settings(derandomize=True, max_examples=300, deadline=None)


def named(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=[f"{v['message']} {v['name']}" for v in vectors])


def of(message):
    return [vector for vector in VECTORS["valid"] if vector["message"] == message]


def fields_of(message, frame):
    """Open and decode a frame of any message -> list of its fields."""
    if message == "manifest":
        return rounds.open_manifest(frame)[0].values()
    if message == "update":
        return list(rounds.decode_update(wire.open_sign1(frame, rounds.UPDATE_MAX_BYTES)[1]))
    fields = getattr(rounds, f"decode_{message}")(frame)
    return [fields] if message == "label" else list(fields)


def frame_of(message, fields):
    """The frame that the vectors' parties make of these fields."""
    if message not in SIGNERS:
        return getattr(rounds, f"encode_{message}")(*fields)
    key = coincurve.PrivateKey(bytes.fromhex(SIGNERS[message]["secret"]))
    address = keccak(key.public_key.format(compressed=False)[1:])[12:]
    if message == "manifest":
        return rounds.sign_manifest(rounds.Manifest(*fields), address, lambda d: key.sign_recoverable(d, hasher=None))
    return rounds.sign_update(address, lambda digest: key.sign_recoverable(digest, hasher=None), *fields)


def shown(value):
    return value.hex() if type(value) is bytes else [shown(v) for v in value] if type(value) is list else value


@named(VECTORS["valid"])
def test_a_vector_decodes_to_its_fields_which_encode_to_its_bytes(vector):
    frame = bytes.fromhex(vector["frame"])
    fields = fields_of(vector["message"], frame)

    assert shown(fields) == list(vector["fields"].values())
    assert frame_of(vector["message"], fields) == frame


@named(of("manifest") + of("update"))
def test_cbor2_reads_a_signed_vector_whose_signature_is_its_key_ids(vector):
    frame = bytes.fromhex(vector["frame"])
    protected, unprotected, payload, signature = cbor2.loads(frame).value
    signed = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()
    keys = [coincurve.PublicKey.from_signature_and_message(signature + bytes([v]), signed, hasher=None) for v in (0, 1)]

    assert (cbor2.loads(protected), payload.hex(), signed.hex()) == (
        {1: -47}, vector["payload"], vector["signed_digest"],
    )  # fmt: skip
    assert unprotected[4] in [keccak(key.format(compressed=False)[1:])[12:] for key in keys]
    assert SIGNERS[vector["message"]]["public"] in [key.format().hex() for key in keys]


@named(of("manifest"))
def test_opening_a_manifest_tells_signer_signature_and_digests(vector):
    frame = bytes.fromhex(vector["frame"])

    manifest, signer, signature, signed = rounds.open_manifest(frame)

    assert manifest.digest.hex() == vector["digest"] == hashlib.sha256(frame).hexdigest()
    assert (signer.hex(), signature, signed.hex()) == (
        VECTORS["holders"][0]["address"], frame[-64:], vector["signed_digest"],
    )  # fmt: skip


@named(VECTORS["invalid"])
def test_a_vector_with_one_fault_is_refused_for_it(vector):
    with pytest.raises(wire.WireError) as refused:
        fields_of(vector["message"], bytes.fromhex(vector["frame"]))

    assert refused.value.reason == vector["reason"]
    assert "got" in str(refused.value) and "wanted" in str(refused.value)


@pytest.mark.parametrize("field", rounds.Manifest.FIELDS)
def test_each_field_of_a_manifest_has_a_vector_that_refuses_it(field):
    faults = [vector for vector in VECTORS["invalid"] if vector["message"] == "manifest"]
    index = rounds.Manifest.FIELDS.index(field)
    good = cbor2.loads(bytes.fromhex(of("manifest")[0]["payload"]))[rounds.ROUND]

    def differ(vector):
        payload = cbor2.loads(bytes.fromhex(vector["frame"]))
        body = cbor2.loads(payload.value[2]).get(rounds.ROUND, []) if type(payload) is cbor2.CBORTag else []
        return [at for at, value in enumerate(body[: len(good)]) if value != good[at]] if len(body) == len(good) else []

    assert [index] in [differ(vector) for vector in faults]


def test_what_no_receiver_accepts_cannot_be_encoded():
    for call in (
        lambda: rounds.encode_part(bytes(32), 0, bytes(481)),
        lambda: rounds.encode_taken(bytes(32), 255, "stored"),
        lambda: rounds.encode_label(256),
        lambda: rounds.encode_status(bytes(32), "s" * 17),
        lambda: rounds.encode_enrol(1, bytes(20), HOLDERS[:1], 1, bytes(64) + b"\x1b"),
        lambda: rounds.sign_update(DEVICE, None, bytes(32), bytes(32), 0, 0, bytes(32)),
    ):
        with pytest.raises(LocalError):
            call()


# Digests and keys


def test_the_enrolments_digest_is_eth_accounts_and_its_signature_the_owners():
    frame = bytes.fromhex(of("enrol")[0]["frame"])
    chain_id, contract, holders, number, signature = rounds.decode_enrol(frame)
    domain = {"name": "tinyren EDIL", "version": "1", "chainId": chain_id, "verifyingContract": contract}
    kinds = {"owner": "address", "holders": "bytes32", "number": "uint256"}
    types = {"Enrolment": [{"name": name, "type": kind} for name, kind in kinds.items()]}
    message = {"owner": "0x" + OWNER.hex(), "holders": keccak(b"".join(holders)), "number": number}
    typed = encode_typed_data(domain, types, message)

    digest = eip712.enrolment_digest(keccak, chain_id, contract, OWNER, holders, number)

    assert digest == keccak(b"\x19\x01" + typed.header + typed.body) == bytes.fromhex(ENROLMENT["digest"])
    assert eip712.holders_digest(keccak, holders).hex() == ENROLMENT["holders_digest"]
    recoverable = signature[:64] + bytes([signature[64] - 27])
    key = coincurve.PublicKey.from_signature_and_message(recoverable, digest, hasher=None)
    assert key.format().hex() == VECTORS["owner"]["public"]


@pytest.mark.parametrize("index", range(len(HOLDERS)))
def test_device_and_holder_derive_the_same_keys_which_are_the_vectors(index):
    wanted, m = VECTORS["keys"]["holders"][index], bytes.fromhex(of("manifest")[0]["digest"])
    device, holder = (
        coincurve.PrivateKey(bytes.fromhex(party["secret"])) for party in (VECTORS["device"], VECTORS["holders"][index])
    )
    for secret, public in ((device, holder.public_key), (holder, device.public_key)):
        shared = secret.ecdh(public.format())
        key = hkdf.holder_key(shared, bytes.fromhex(ENROLMENT["digest"]), DEVICE, HOLDERS[index])
        got = [shared, key, hkdf.s_key(key, m, 0), hkdf.s_key(key, m, 7)]
        assert shown(got) == list(wanted.values())
    assert (hkdf.a_key(m).hex(), hkdf.a_key(m, DEVICE, 7).hex()) == (
        VECTORS["keys"]["a_key"], VECTORS["keys"]["a_key_own_7"],
    )  # fmt: skip


@FUZZ
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_hmac_is_pythons(key, message):
    assert hkdf.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


def test_hkdf_gives_the_first_block_of_rfc_5869s_first_and_third_case():
    secret, first = b"\x0b" * 22, (bytes(range(13)), bytes(range(0xF0, 0xFA)))
    for salt, info, wanted in (
        (*first, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"),
        (b"", b"", "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    ):
        assert hkdf.hkdf_sha256(secret, salt, info).hex() == wanted


# Foreign bytes

MESSAGES = ("enrol", "manifest", "update", "part", "taken", "label", "status")


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
        signed = {name: wire.open_sign1(content, 400) for name, content in (("then", original), ("now", frame))}
        assert frame == original or signed["then"] != signed["now"]
    else:
        assert frame_of(vector["message"], fields) == frame
