"""Checks of EDIL's messages and keys that run on MicroPython as on CPython; prints "ok".

It takes VECTORS, the text of a part of vectors/edil_messages.json, from the globals.
"""

import gc
import json

import _tinyren
from agent import eip712, hkdf, rounds, wire
from agent.errors import WireError


def decode(message, frame):
    if message == "manifest":
        return rounds.open_manifest(frame)[0].values()
    if message == "update":
        return rounds.decode_update(wire.open_sign1(frame, rounds.UPDATE_MAX_BYTES)[1])
    fields = getattr(rounds, "decode_" + message)(frame)
    return [fields] if message == "label" else fields


def encode(message, fields, frame):
    """The frame of these fields; a signed one gets the signature that `frame` has."""
    if message == "manifest":
        return rounds.sign_manifest(rounds.Manifest(*fields), wire.open_sign1(frame, 384)[0], lambda _: frame[-64:])
    if message == "update":
        return rounds.sign_update(wire.open_sign1(frame, 384)[0], lambda _: frame[-64:], *fields)
    return getattr(rounds, "encode_" + message)(*fields)


def check_messages(vectors):
    for vector in vectors["valid"]:
        message, frame = vector["message"], bytes.fromhex(vector["frame"])
        assert encode(message, decode(message, frame), frame) == frame, vector["name"]
        if message == "manifest":
            assert rounds.open_manifest(frame)[0].digest == bytes.fromhex(vector["digest"]), vector["name"]
    for vector in vectors["invalid"]:
        try:
            decode(vector["message"], bytes.fromhex(vector["frame"]))
            reason = "accepted"
        except WireError as error:
            reason = error.reason
        assert reason == vector["reason"], (vector["name"], reason)


def check_keys(vectors):
    """Enrolment's digest and signer, ECDH and all keys that come of it, with the board's own curve."""
    device = {name: bytes.fromhex(value) for name, value in vectors["device"].items()}
    owner, enrolment = bytes.fromhex(vectors["owner"]["address"]), vectors["enrolment"]
    holders = [bytes.fromhex(holder["public"]) for holder in vectors["holders"]]
    contract, number = bytes.fromhex(enrolment["contract"]), enrolment["number"]
    digest = eip712.enrolment_digest(_tinyren.keccak256, enrolment["chain_id"], contract, owner, holders, number)
    assert digest == bytes.fromhex(enrolment["digest"])
    signature = bytes.fromhex(vectors["signature"])
    key = _tinyren.recover(digest, signature[:64] + bytes([signature[64] - 27]))
    assert _tinyren.keccak256(key[1:])[12:] == owner
    manifest = bytes.fromhex(vectors["manifest"])
    for holder, keys in zip(holders, vectors["keys"]["holders"]):  # noqa: B905 - MicroPython's zip has no strict
        shared = _tinyren.ecdh(device["secret"], holder)
        key = hkdf.holder_key(shared, digest, device["id"], holder)
        made = (shared, key, hkdf.s_key(key, manifest, 0), hkdf.s_key(key, manifest, 7))
        assert made == tuple([bytes.fromhex(keys[name]) for name in ("shared", "k", "s_key_0", "s_key_7")])
    assert hkdf.a_key(manifest) == bytes.fromhex(vectors["keys"]["a_key"])
    assert hkdf.a_key(manifest, device["id"], 7) == bytes.fromhex(vectors["keys"]["a_key_own_7"])


gc.collect()
vectors = json.loads(globals()["VECTORS"])
check_messages(vectors)
if "keys" in vectors:
    check_keys(vectors)
print("ok")
