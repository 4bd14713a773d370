"""What oracles hear and keep: messages of other forms, sites or signers are refused; choices survive a crash whole."""

import base64
import contextlib
import json

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import curve, ratio1
from gateway.errors import CommandError
from gateway.oracle import choices, epoch, messages
from gateway.oracle.agreement import Memory
from gateway.oracle.effects import Choice
from gateway.oracle.messages import Site
from gateway.oracle.rpc import ChainAway, decode_deeds, decode_oracles
from gateway.oracle.rules import Place
from gateway.oracle.statements import (
    Bundle,
    Close,
    Commitment,
    Decision,
    Held,
    Opened,
    Proposal,
    Root,
    Signature,
    Vote,
)
from gateway.ratio1 import MessageRefused

KEY, OTHER = PrivateKey(b"\x01" * 32), PrivateKey(b"\x02" * 32)
SITE = Site(1331, b"s" * 20)
ROOT = Root(3, b"r" * 32, 10**24, b"e" * 32)
CID = "bafkreicryllxa7sk2xlr4msbx2evi6myk7vhevcbqrqdsp5fakgapbbytu"
HELD = Held(3, (Bundle(b"a" * 20, b"d" * 32, 9), Bundle(b"b" * 20, b"d" * 32, 1 << 62, CID, ((0, 0), (2, 65535)))))
VOTE = Vote(3, 7, "prevote", b"v" * 32)
INNER = tuple(messages.seal(HELD, SITE, key.secret) for key in (KEY, OTHER))
VOTES = tuple(messages.seal(VOTE, SITE, key.secret) for key in (KEY, OTHER))
PROPOSAL = Proposal(3, 8, INNER, 7, VOTES)
MESSAGES = [
    Opened(3, 65534, 65535, 1_000, 1 << 62),
    Commitment(3, 65535, 0, 1 << 40, b"c" * 32),
    Close(3, b"e" * 32, 9),
    Close(3, b"e" * 32, 9, CID),
    HELD,
    Held(3, ()),
    VOTE,
    Vote(3, 0, "precommit", b""),
    PROPOSAL,
    Proposal(3, 0, INNER),
    Decision(3, 8, INNER, VOTES),
    Signature(ROOT, b"g" * 65),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_back_as_it_was_said(message):
    said = messages.seal(message, SITE, KEY.secret)
    got = messages.open_sealed(said.payload, SITE)
    assert got == said and (got.sender, got.message) == (curve.address_of(KEY.secret), message)
    if isinstance(message, Proposal):
        assert [inner.sender for inner in got.message.held] == [curve.address_of(key.secret) for key in (KEY, OTHER)]


def test_what_a_stranger_puts_into_a_message_costs_nobody_a_signature(monkeypatch):
    payload, checked, verify = messages.seal(PROPOSAL, SITE, KEY.secret).payload, [], ratio1.verify
    monkeypatch.setattr(ratio1, "verify", lambda fields: checked.append(fields) or verify(fields))
    me, other = (curve.address_of(key.secret) for key in (KEY, OTHER))
    assert messages.open_sealed(payload, SITE, holders={me}).message == PROPOSAL and len(checked) == 5
    with pytest.raises(MessageRefused):
        messages.open_sealed(payload, SITE, holders={other})
    assert len(checked) == 6


def sealed(fields):
    return json.dumps(ratio1.sign(fields, KEY.secret)).encode()


def inner(payload):
    return {"held": {"0": base64.b64encode(payload).decode()}}


FIELDS = {
    kind: messages.encode(message, SITE)
    for kind, message in zip(
        ("commitment", "close", "held", "vote", "proposal", "signature"),
        (MESSAGES[1], MESSAGES[2], HELD, VOTE, PROPOSAL, MESSAGES[-1]),
        strict=True,
    )
}
GATEWAY = "0x" + b"a".hex() * 20
DIGEST = "0x" + "00" * 32
REFUSED = [
    ("another chain", FIELDS["vote"] | {"chain": 1}),
    ("another contract", FIELDS["vote"] | {"settlement": "0x" + "00" * 20}),
    ("no type", {name: value for name, value in FIELDS["vote"].items() if name != "type"}),
    ("an unknown type", FIELDS["vote"] | {"type": "table"}),
    ("an unknown field", FIELDS["vote"] | {"more": 1}),
    ("a field of another message", FIELDS["vote"] | {"block": 1}),
    ("epoch 0", FIELDS["vote"] | {"epoch": 0}),
    ("an epoch that is text", FIELDS["vote"] | {"epoch": "3"}),
    ("an epoch that is true", FIELDS["vote"] | {"epoch": True}),
    ("an epoch beyond 32 bits", FIELDS["vote"] | {"epoch": 1 << 32}),
    ("a turn below 0", FIELDS["vote"] | {"turn": -1}),
    ("a turn beyond 31 bits", FIELDS["vote"] | {"turn": 1 << 31}),
    ("a vote of another kind", FIELDS["vote"] | {"kind": "maybe"}),
    ("a vote of a kind in a list", FIELDS["vote"] | {"kind": ["prevote"]}),
    ("a vote for a short digest", FIELDS["vote"] | {"value": "0x00"}),
    ("a window beyond 16 bits", FIELDS["commitment"] | {"window": 1 << 16}),
    ("a negative length", FIELDS["commitment"] | {"heartbeats_bytes": -1}),
    ("a CID of another form", FIELDS["close"] | {"cid": "../../etc"}),
    ("a CID that is a number", FIELDS["close"] | {"cid": 7}),
    ("bundles in a list", FIELDS["held"] | {"bundles": []}),
    ("a bundle of no gateway", FIELDS["held"] | {"bundles": {"a": f"{DIGEST}/1//"}}),
    ("a bundle without a place", FIELDS["held"] | {"bundles": {GATEWAY: DIGEST}}),
    ("a bundle at a block beyond 63 bits", FIELDS["held"] | {"bundles": {GATEWAY: f"{DIGEST}/{1 << 63}//"}}),
    ("windows backwards", FIELDS["held"] | {"bundles": {GATEWAY: f"{DIGEST}/1//3-2"}}),
    ("windows that touch", FIELDS["held"] | {"bundles": {GATEWAY: f"{DIGEST}/1//1-2,3-4"}}),
    ("windows beyond 16 bits", FIELDS["held"] | {"bundles": {GATEWAY: f"{DIGEST}/1//1-65536"}}),
    ("held that is a list", FIELDS["proposal"] | {"held": []}),
    ("held by other numbers", FIELDS["proposal"] | {"held": {"1": "AAAA"}}),
    ("held that is no base64", FIELDS["proposal"] | {"held": {"0": "?"}}),
    ("held that is no text", FIELDS["proposal"] | {"held": {"0": 7}}),
    ("held that is noise", FIELDS["proposal"] | inner(b"noise")),
    ("held of another site", FIELDS["proposal"] | inner(messages.seal(HELD, Site(1, b"s" * 20), KEY.secret).payload)),
    ("held that was altered", FIELDS["proposal"] | inner(INNER[0].payload.replace(b"65535", b"65534"))),
    ("a proposal in a proposal", FIELDS["proposal"] | inner(messages.seal(PROPOSAL, SITE, KEY.secret).payload)),
    ("too many held", FIELDS["proposal"] | {"held": {str(index): "" for index in range(messages.MAX_INNER + 1)}}),
    ("a lock before the first turn", FIELDS["proposal"] | {"lock_turn": -2}),
    ("a short root", FIELDS["signature"] | {"root": "0x00"}),
    ("a root in upper case", FIELDS["signature"] | {"root": "0x" + "AA" * 32}),
    ("a root that is a number", FIELDS["signature"] | {"root": 7}),
    ("a total that is a number", FIELDS["signature"] | {"total": 7}),
    ("a total with a leading zero", FIELDS["signature"] | {"total": "07"}),
    ("a total of 257 bits", FIELDS["signature"] | {"total": str(1 << 256)}),
]


@pytest.mark.parametrize("fields", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_signed_message_of_another_form_or_site_is_refused(fields):
    with pytest.raises(MessageRefused):
        messages.open_sealed(sealed(fields), SITE)


def test_a_message_that_was_altered_after_it_was_signed_is_refused():
    fields = json.loads(messages.seal(PROPOSAL, SITE, KEY.secret).payload)
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
    payload = bytearray(messages.seal(PROPOSAL, SITE, KEY.secret).payload)
    payload[place % len(payload)] = value
    try:
        assert messages.open_sealed(bytes(payload), SITE).message == PROPOSAL
    except MessageRefused:
        pass


def test_noise_of_a_megabyte_and_deep_nesting_are_refused():
    nested = [b"[" * 100_000, b'{"a":' * 100_000, ('{"a":' * 100_000).encode("utf-16")]
    for payload in (*nested, b"1" * (messages.MAX_BYTES + 1), b"1" * 10_000):
        with pytest.raises(MessageRefused):
            messages.open_sealed(payload, SITE)


CHOICE = Choice(
    8,
    Memory(
        Place(8, 2, 7, b"v" * 32, 7, b"v" * 32),
        (messages.seal(VOTE, SITE, KEY.secret),),
        messages.seal(PROPOSAL, SITE, KEY.secret),
        messages.seal(MESSAGES[-2], SITE, KEY.secret),
    ),
    messages.seal(MESSAGES[-1], SITE, KEY.secret),
)


def test_a_choice_is_kept_and_read_back(tmp_path):
    assert choices.load(tmp_path, SITE) is None
    for choice in (Choice(1), CHOICE):
        choices.save(tmp_path, choice)
        assert choices.load(tmp_path, SITE) == choice
    (tmp_path / "choice.json.part").write_text("torn by a crash")
    assert choices.load(tmp_path, SITE) == CHOICE


def test_a_choice_that_somebody_edited_stops_the_oracle(tmp_path):
    choices.save(tmp_path, CHOICE)
    path = tmp_path / choices.NAME
    path.write_text(path.read_text().replace("prevote", "precommit", 1))
    with pytest.raises(CommandError):
        choices.load(tmp_path, SITE)


@pytest.mark.parametrize("content", ["", "[", "7", "[7]", "[{}]", "{}", '{"epoch": 1, "place": {}}', '"text"', "null"])
def test_a_damaged_choice_stops_the_oracle_and_is_left_as_it_is(tmp_path, content):
    (tmp_path / choices.NAME).write_text(content)
    with pytest.raises(CommandError):
        choices.load(tmp_path, SITE)
    assert (tmp_path / choices.NAME).read_text() == content


def test_a_choice_of_another_site_stops_the_oracle(tmp_path):
    choices.save(tmp_path, CHOICE)
    with pytest.raises(CommandError):
        choices.load(tmp_path, Site(1, b"s" * 20))


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
def test_an_answer_of_the_chain_that_is_no_list_of_deeds_or_oracles_is_refused(noise, words):
    for answer in (noise, b"".join((32 * word).to_bytes(32, "big") for word in words)):
        for decode in (decode_deeds, decode_oracles):
            with contextlib.suppress(ChainAway):
                decode(answer)


def words(*values):
    return b"".join(value.to_bytes(32, "big") for value in values)


def test_a_chain_that_names_more_deeds_or_devices_than_there_may_be_is_refused_at_once():
    deed, devices = words(1, 9, 2, 128), words(2, 5, 6)
    assert decode_deeds(words(32, 1, 32) + deed + devices)[1].devices == tuple(words(each)[12:] for each in (5, 6))
    for answer in (
        words(32, 101) + words(32) * 101 + deed + devices,
        words(32, 1, 32) + words(1, 9, 1, 128) + devices,
        words(32, 1, 32) + words(1, 9, 1 << 16, 128, 0),
    ):
        with pytest.raises(ChainAway, match="wanted at most"):
            decode_deeds(answer)
