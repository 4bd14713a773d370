"""CSTORE's signed record as foreign readers see it, byte by byte, and foreign bytes as it sees them."""

import hashlib

import cbor2
import pytest
from coincurve import PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage.cstore_record import (
    FRAME_MAX_BYTES,
    LABEL,
    REVISION_MAX,
    Access,
    CstoreError,
    Opener,
    Refused,
    Untrusted,
    decode_access,
    name_of,
    sign_record,
)
from tests.cstore_site import OWNER, WRITER, address, digest_signer

STORE, NONCE = bytes(range(16)), bytes(range(8))
FIELDS = [STORE, "jobs", "a\0b", 7, 1, 1000, b"value", NONCE]


def record(**changes):
    """A frame signed by OWNER."""
    fields = {"name": "a\0b", "revision": 7, "value": b"value", "ttl_ms": 1000, "nonce": NONCE} | changes
    place = STORE, fields.pop("bucket", "jobs"), fields.pop("name")
    return sign_record(place, *fields.values(), address(OWNER), digest_signer(OWNER))


def sealed(payload, key=OWNER, kid=None):
    """A COSE_Sign1 of ES256K over any payload, made with cbor2 and coincurve alone."""
    protected = cbor2.dumps({1: -47})
    digest = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()
    signature = key.sign_recoverable(digest, hasher=None)[:64]
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {4: kid or address(key)}, payload, signature]))


def test_any_cbor_and_cose_library_reads_it():
    message = cbor2.loads(record())
    protected, unprotected, payload, signature = message.value
    assert (message.tag, cbor2.loads(protected), unprotected) == (18, {1: -47}, {4: address(OWNER)})
    assert cbor2.loads(payload) == {LABEL: FIELDS}
    digest = hashlib.sha256(cbor2.dumps(["Signature1", protected, b"", payload])).digest()
    signers = [PublicKey.from_signature_and_message(signature + bytes([v]), digest, hasher=None) for v in (0, 1)]
    assert OWNER.public_key in signers


def test_what_any_library_makes_of_the_same_fields_is_the_same_frame():
    assert sealed(cbor2.dumps({LABEL: FIELDS})) == record()
    opened = Opener().open(record())
    assert (opened.store, opened.bucket, opened.key, opened.field) == (STORE, "jobs", "a", "b")
    assert (opened.revision, opened.ttl_ms, opened.value, opened.owner) == (7, 1000, b"value", address(OWNER))


def test_a_deletion_has_no_value_and_no_lifetime():
    assert Opener().open(record(value=None, ttl_ms=0)).value is None
    assert Opener().open(record(value=b"", ttl_ms=0)).value == b""
    with pytest.raises(Refused, match="ttl_ms: got 1, wanted 0..0"):
        record(value=None, ttl_ms=1)


def test_a_signature_by_another_key_is_refused_whether_the_signer_is_known_or_not():
    opener, payload = Opener(), cbor2.dumps({LABEL: FIELDS})
    forged = sealed(payload, WRITER, address(OWNER))
    for _ in range(2):
        with pytest.raises(Untrusted, match=f"not of 0x{address(OWNER).hex()}"):
            opener.open(forged)
        opener.open(record())


BAD_FIELDS = {
    "store": ([bytes(15), *FIELDS[1:]], "store: got 15 bytes"),
    "bucket": ([STORE, "Jobs", *FIELDS[2:]], "bucket: got 'Jobs'"),
    "two NULs": ([STORE, "jobs", "a\0b\0c", *FIELDS[3:]], "control character"),
    "an empty field": ([STORE, "jobs", "a\0", *FIELDS[3:]], "field: got 0 bytes"),
    "an empty key": ([STORE, "jobs", "\0a", *FIELDS[3:]], "key: got 0 bytes"),
    "revision 0": ([*FIELDS[:3], 0, *FIELDS[4:]], "revision: got 0"),
    "a huge revision": ([*FIELDS[:3], REVISION_MAX + 1, *FIELDS[4:]], "revision: got"),
    "operation": ([*FIELDS[:4], 3, *FIELDS[5:]], "operation: got 3"),
    "a value to delete": ([*FIELDS[:4], 2, 0, b"value", NONCE], "value: got 5 bytes, wanted at most 0"),
    "nonce": ([*FIELDS[:7], b""], "nonce: got 0 bytes"),
    "one too few": (FIELDS[:7], "got 7 fields, wanted 8"),
    "text for bytes": ([*FIELDS[:6], "value", NONCE], "got str, wanted bytes"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_well_signed_record_with_a_bad_field_is_refused(case):
    fields, message = BAD_FIELDS[case]
    with pytest.raises(Untrusted, match=message):
        Opener().open(sealed(cbor2.dumps({LABEL: fields})))


@pytest.mark.parametrize("payload", [b"", b"\xf6", cbor2.dumps(FIELDS), cbor2.dumps({-65537: FIELDS}), b"\xbf\xff"])
def test_a_signed_message_of_another_kind_is_no_record(payload):
    with pytest.raises(Untrusted, match="record: "):
        Opener().open(sealed(payload))


def test_a_frame_over_the_limit_is_not_parsed():
    with pytest.raises(Untrusted, match=f"wanted at most {FRAME_MAX_BYTES}"):
        Opener().open(bytes(FRAME_MAX_BYTES + 1))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 250), st.integers(0, 60))
def test_foreign_bytes_in_a_record_are_refused_or_leave_it_the_same(noise, at, over):
    frame = record()
    changed = frame[:at] + noise + frame[at + over :]
    for candidate in (noise, changed):
        try:
            assert Opener().open(candidate).frame == frame == candidate
        except Untrusted:
            assert candidate != frame


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=100))
def test_foreign_bytes_as_lists_are_refused_or_encode_to_the_same(noise):
    for candidate in (noise, b"\x82" + noise, b"\x82\x61*\x81\x54" + noise):
        try:
            assert decode_access(candidate).encode() == candidate
        except Refused:
            continue


@pytest.mark.parametrize("access", [Access(), Access(None), Access((bytes(20),), (b"\x01" * 20, b"\x02" * 20))])
def test_lists_read_back_as_they_were_written(access):
    assert decode_access(access.encode()) == access


@settings(max_examples=300, derandomize=True, deadline=None)
@given(*2 * [st.tuples(st.text(max_size=8), st.text(max_size=8))])
def test_two_keys_and_fields_never_have_one_name(first, second):
    names = []
    for key, field in (first, second):
        try:
            names.append(name_of(key, field))
        except CstoreError:
            return
    assert (names[0] == names[1]) == (first == second)
    assert max(len(name.encode()) for name in names) <= 256


def test_no_key_is_in_what_an_object_says_of_itself():
    opener = Opener()
    opener.open(record())
    assert OWNER.to_hex() not in repr(opener) + repr(vars(opener))
