"""What oracles hear and keep: messages of other forms, sites or signers are refused; choices survive a crash whole."""

import json

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import curve, ratio1
from gateway.errors import CommandError
from gateway.oracle import choices, epoch, messages
from gateway.oracle.consensus import Close, Root, Signature, Table
from gateway.oracle.messages import Site
from gateway.oracle.rpc import ChainAway, decode_deeds
from gateway.ratio1 import MessageRefused

KEY = PrivateKey(b"\x01" * 32)
SITE = Site(1331, b"s" * 20)
ROOT = Root(3, b"r" * 32, 10**24, b"e" * 32)
TABLE = Table(ROOT, ((b"a" * 20, 0), (b"d" * 20, 255)))
MESSAGES = [Close(3, b"e" * 32, 9), TABLE, Signature(ROOT, b"g" * 65)]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_as_it_was_said(message):
    payload = messages.seal(message, SITE, KEY.secret)
    assert messages.open_sealed(payload, SITE) == (curve.address_of(KEY.secret), message)


def sealed(fields):
    return json.dumps(ratio1.sign(fields, KEY.secret)).encode()


FIELDS = messages.encode(TABLE, SITE)
REFUSED = [
    ("another chain", FIELDS | {"chain": 1}),
    ("another contract", FIELDS | {"settlement": "0x" + "00" * 20}),
    ("no type", {name: value for name, value in FIELDS.items() if name != "type"}),
    ("an unknown type", FIELDS | {"type": "vote"}),
    ("an unknown field", FIELDS | {"more": 1}),
    ("a field of another message", FIELDS | {"block": 1}),
    ("epoch 0", FIELDS | {"epoch": 0}),
    ("an epoch that is text", FIELDS | {"epoch": "3"}),
    ("an epoch that is true", FIELDS | {"epoch": True}),
    ("an epoch beyond 32 bits", FIELDS | {"epoch": 1 << 32}),
    ("a short root", FIELDS | {"root": "0x00"}),
    ("a root in upper case", FIELDS | {"root": "0x" + "AA" * 32}),
    ("a root that is a number", FIELDS | {"root": 7}),
    ("a total that is a number", FIELDS | {"total": 7}),
    ("a total with a leading zero", FIELDS | {"total": "07"}),
    ("a total of 257 bits", FIELDS | {"total": str(1 << 256)}),
    ("availability above 255", FIELDS | {"availability": {"0x" + "61" * 20: 256}}),
    ("availability below 0", FIELDS | {"availability": {"0x" + "61" * 20: -1}}),
    ("availability of no id", FIELDS | {"availability": {"a": 1}}),
    ("availability in a list", FIELDS | {"availability": []}),
]


@pytest.mark.parametrize("fields", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_signed_message_of_another_form_or_site_is_refused(fields):
    with pytest.raises(MessageRefused):
        messages.open_sealed(sealed(fields), SITE)


def test_a_message_that_was_altered_after_it_was_signed_is_refused():
    fields = json.loads(messages.seal(TABLE, SITE, KEY.secret))
    for changed in (fields | {"epoch": 4}, fields | {"EE_SENDER": curve.ratio1_address(b"\x02" + b"\x01" * 32)}):
        with pytest.raises(MessageRefused):
            messages.open_sealed(json.dumps(changed).encode(), SITE)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_foreign_bytes_are_refused_and_nothing_else(payload):
    payload = payload.encode() if isinstance(payload, str) else payload
    with pytest.raises(MessageRefused):
        messages.open_sealed(payload, SITE)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_changed_byte_never_passes_for_another_message(place, value):
    payload = bytearray(messages.seal(TABLE, SITE, KEY.secret))
    payload[place % len(payload)] = value
    try:
        assert messages.open_sealed(bytes(payload), SITE)[1] == TABLE
    except MessageRefused:
        pass


def test_noise_of_a_megabyte_and_deep_nesting_are_refused():
    nested = [b"[" * 100_000, b'{"a":' * 100_000, ('{"a":' * 100_000).encode("utf-16")]
    for payload in (*nested, b"1" * (messages.MAX_BYTES + 1), b"1" * 10_000):
        with pytest.raises(MessageRefused):
            messages.open_sealed(payload, SITE)


def test_choices_are_kept_and_read_back(tmp_path):
    assert choices.load(tmp_path, SITE) == ()
    choices.save(tmp_path, [TABLE], SITE)
    assert choices.load(tmp_path, SITE) == (TABLE,)
    (tmp_path / "choices.json.part").write_text("torn by a crash")
    assert choices.load(tmp_path, SITE) == (TABLE,)


@pytest.mark.parametrize("content", ["", "[", "7", "[7]", "[{}]", '"text"', "null"])
def test_damaged_choices_stop_the_oracle_and_are_left_as_they_are(tmp_path, content):
    (tmp_path / choices.NAME).write_text(content)
    with pytest.raises(CommandError):
        choices.load(tmp_path, SITE)
    assert (tmp_path / choices.NAME).read_text() == content


def test_choices_of_another_site_stop_the_oracle(tmp_path):
    choices.save(tmp_path, [TABLE], Site(1, b"s" * 20))
    with pytest.raises(CommandError):
        choices.load(tmp_path, SITE)


def test_a_root_signature_is_its_signers_for_one_chain_and_contract_only():
    digest = epoch.root_digest(ROOT, 1331, b"s" * 20)
    signature = epoch.sign_digest(digest, KEY)
    me = curve.address_of(KEY.secret)
    assert epoch.signer_of(digest, signature) == me
    for other in (epoch.root_digest(ROOT, 1, b"s" * 20), epoch.root_digest(ROOT, 1331, b"t" * 20)):
        assert epoch.signer_of(other, signature) != me
    v = signature[64]
    for bad in (b"", signature[:64], signature[:64] + bytes([55 - v]), signature[:64] + bytes([v - 27])):
        assert epoch.signer_of(digest, bad) != me


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_an_answer_of_the_chain_that_is_no_list_of_deeds_is_refused(noise, words):
    for answer in (noise, b"".join((32 * word).to_bytes(32, "big") for word in words)):
        try:
            decode_deeds(answer)
        except ChainAway:
            pass
