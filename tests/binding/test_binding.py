"""Binding by label on a real chain: what it takes, in which order, and that each refusal changes nothing."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.binding import service as service_module
from gateway.binding import tries
from gateway.binding.pending import MOST, Binding, PendingBindings, Refused, read_typed_data
from gateway.chain.chain import Contract
from gateway.labels import codes, payload
from gateway.oracle.epoch import sign_digest
from tests.bind_site import DEVICE, OTHER, OWNER, PAYER, SECOND, Place, address, name


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(service_module, "RETRY_S", 0.001)
    made = Place(tmp_path)
    yield made
    made.close()


def refused(reason, call, *arguments):
    """The message of a refusal."""
    with pytest.raises(Refused) as error:
        call(*arguments)
    assert error.value.reason == reason, str(error.value)
    return str(error.value)


@pytest.mark.parametrize("text", [payload.encode, payload.manual_code])
def test_the_label_and_the_owners_signature_bind_the_device_and_burn_the_code(place, text):
    found = place.service.find(text(place.label))
    assert (found["device"], found["board"], found["is_here"]) == (name(DEVICE), "cpython", True)
    done = place.service.sign(found["token"], place.signature(found["token"]))
    assert (done["deed"], done["device"], done["owner"]) == (1, name(DEVICE), name(OWNER))
    assert place.contracts.bindings()[1].devices == (address(DEVICE),)
    assert place.codes.find(address(DEVICE)).hash is None and place.changes == 1
    assert place.asked == [(address(DEVICE), 1, name(OWNER))]


def test_a_label_that_was_used_opens_nothing_and_neither_does_one_whose_burning_a_crash_prevented(place):
    place.bind()
    before = place.state()
    refused("burned", place.find)
    assert place.state() == before
    place.label = place.labelled(DEVICE)  # as if the hash were still there
    assert "bound to deed 1" in refused("bound", place.find)
    assert place.codes.find(address(DEVICE)).hash is None and place.contracts.bindings() == before[0]


def test_a_label_cannot_bind_its_device_once_more_after_a_release(place):
    place.bind()
    place.chain.send(Contract("Devices", place.contracts.contracts.devices), "release", name(DEVICE), key=OWNER)
    before = place.state()
    refused("burned", place.find)
    assert place.state() == before


def test_of_two_who_have_the_label_the_second_is_refused(place):
    early, late = place.find(), place.find()
    signature = place.signature(late, deed=2, key=OTHER)
    place.service.sign(early, place.signature(early))
    before = place.state()
    refused("expired", place.service.sign, late, signature)
    assert place.state() == before


def changed(place, **fields):
    return payload.encode(replace(place.label, **fields))


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("label", lambda place: payload.encode(place.label)[:-1] + "-"),
        ("label", lambda place: "TR:"),
        ("label", lambda place: "hello"),
        ("label", lambda place: payload.manual_code(place.label)[:-1] + "?"),
        ("code", lambda place: changed(place, code=place.label.code ^ 1)),
        ("code", lambda place: payload.manual_code(replace(place.label, code=place.label.code ^ 1))),
        ("elsewhere", lambda place: changed(place, device=address(SECOND))),
        ("elsewhere", lambda place: changed(place, board=bytes(4))),
        ("elsewhere", lambda place: payload.manual_code(replace(place.label, device=address(SECOND)))),
    ],
)
def test_a_wrong_text_finds_no_device(place, reason, text):
    before = place.state()
    refused(reason, place.service.find, text(place))
    assert place.state() == before and place.asked == []


def test_wrong_codes_are_answered_ever_more_slowly_and_the_right_one_waits_too(place):
    wrong = changed(place, code=place.label.code ^ 1)
    pauses = []
    for _ in range(9):
        refused("code", place.service.find, wrong)
        told = refused("tries", place.find) if len(pauses) >= tries.FREE - 1 else "0 s"
        pauses.append(int(re.search(r"(\d+) s", told)[1]))
        place.now_s += pauses[-1]
    assert pauses[:4] == [0] * 4 and sorted(set(pauses[4:])) == pauses[4:] and pauses[-1] >= 8 * pauses[4]
    assert place.find()
    refused("code", place.service.find, wrong)
    assert place.find()  # the right one let the count begin anew


def test_the_pause_never_exceeds_an_hour():
    counted = tries.Tries()
    for _ in range(100):
        counted.failed(b"device", 0.0)
    counted.check(b"device", tries.LONGEST_S + 1)
    counted.check(b"other", 0.0)
    refused("tries", counted.check, b"device", tries.LONGEST_S - 1)
    for number in range(tries.MOST):
        counted.failed(bytes([number >> 8, number & 255]), 0.0)
    counted.check(b"device", 1.0)  # too many others were counted since


@pytest.mark.parametrize(
    ("reason", "arguments", "message"),
    [
        ("deed", (3,), "deed: got 3, wanted one that is there"),
        ("deed", (1 << 63,), "wanted one that is there"),
        ("deed", (1,), "all of its 1 slots are taken"),
    ],
)
def test_a_deed_that_cannot_take_the_device_is_told_before_anybody_signs(place, reason, arguments, message):
    place.bind()
    place.label = place.labelled(SECOND)
    place.announce(SECOND)
    before, token = place.state(), place.find()
    assert message in refused(reason, place.service.ask, token, *arguments)
    assert place.state() == before and len(place.asked) == 1


def test_a_device_that_was_never_heard_or_is_another_board_is_told(place):
    place.devices.clear()
    token = place.find()
    refused("silent", place.service.ask, token, 1)
    place.announce(DEVICE, board="another")
    assert "another" in refused("device", place.service.ask, token, 1)
    assert place.asked == []


def test_only_the_owners_signature_over_these_fields_reaches_the_device(place):
    token, before = place.find(), place.state()
    good = place.signature(token)
    binding = read_typed_data(place.service.ask(token, 1))
    later = replace(binding, deadline_s=binding.deadline_s + 1)
    wrong = [
        place.signature(token, key=OTHER),
        bytes(65),
        b"",
        good[:64],
        sign_digest(later.digest(), OWNER),
        bytes(300),
    ]
    for signature in wrong:
        assert name(OWNER) in refused("signature", place.service.sign, token, signature)
    assert place.asked == [] and place.state() == before


def test_a_wallet_that_refuses_leaves_nothing_and_the_label_is_still_good(place):
    before, token = place.state(), place.find()
    place.service.ask(token, 1)
    assert place.state() == before and place.asked == []
    assert place.bind()["deed"] == 1


def test_a_device_that_is_silent_or_answers_with_another_key_is_told_and_may_be_asked_again(place):
    token, before = place.find(), place.state()
    signature = place.signature(token)
    place.signer = SECOND
    assert "another key" in refused("device", place.service.sign, token, signature)
    place.signer = None
    assert "did not answer within 45 s" in refused("silent", place.service.sign, token, signature)
    assert place.state() == before
    place.signer = DEVICE
    assert place.service.sign(token, signature)["deed"] == 1


def test_a_deadline_that_is_over_is_told_and_naming_the_deed_again_mends_it(place):
    token, before = place.find(), place.state()
    signature = place.signature(token)
    place.now_s += 601
    refused("expired", place.service.sign, token, signature)
    assert place.state() == before and place.asked == []
    assert place.service.sign(token, place.signature(token))["deed"] == 1
    refused("expired", place.service.ask, token, 1)


def test_a_binding_is_over_after_a_quarter_of_an_hour_and_after_a_restart(place):
    token = place.find()
    place.now_s += 901
    refused("expired", place.service.ask, token, 1)
    token = place.find()
    place.restart()
    refused("expired", place.service.ask, token, 1)
    refused("expired", place.service.sign, "", bytes(65))


def test_signing_before_a_deed_is_named_is_refused(place):
    refused("deed", place.service.sign, place.find(), bytes(65))


def test_answers_that_nobody_waits_for_change_nothing(place):
    before = place.state()
    place.service.answer(address(DEVICE), 0, bytes(65))
    token = place.find()
    place.service.ask(token, 1)
    place.service.answer(address(DEVICE), 0, bytes(65))
    assert place.state() == before and place.bind()["deed"] == 1


def test_an_answer_counts_for_the_nonce_it_was_asked_for_and_after_the_owner_signed():
    pending = PendingBindings()
    pending.open("token", BINDING.device, b"salt", 0.0)
    pending.ask("token", BINDING, 0.0)
    assert not pending.answer(BINDING.device, BINDING.nonce, bytes(65))
    pending.sign("token", bytes(65), 0.0)
    before = pending.get("token", 0.0)
    assert not pending.answer(BINDING.device, BINDING.nonce + 1, bytes(65))
    assert not pending.answer(BINDING.owner, BINDING.nonce, bytes(65))
    assert pending.get("token", 0.0) == before
    assert pending.answer(BINDING.device, BINDING.nonce, bytes(65)) and pending.get("token", 0.0).wrong_answer


def test_of_too_many_bindings_the_oldest_is_forgotten():
    pending = PendingBindings()
    for number in range(MOST + 1):
        pending.open(str(number), BINDING.device, b"salt", float(number))
    refused("expired", pending.get, "0", 65.0)
    assert pending.get("1", 65.0).device == BINDING.device


def test_an_owner_that_is_a_contract_answers_for_itself(place):
    """Bytecode that says ERC-1271's word to whatever it is asked."""
    code = bytes.fromhex("631626ba7e60e01b60005260206000f3")
    creation = bytes([0x60, len(code), 0x60, 12, 0x60, 0, 0x39, 0x60, len(code), 0x60, 0, 0xF3]) + code
    wallet = place.chain._transact("wallet", {"data": "0x" + creation.hex()}, PAYER).created
    place.contracts.mint_deed(3, wallet, 1)
    token = place.find()
    place.service.ask(token, 3)
    assert place.service.sign(token, b"any")["owner"] == wallet


BINDING = Binding(8453, bytes(range(20)), 7, bytes(20), b"\x11" * 20, "board", 3, 2_000_000_000)


def test_typed_data_is_read_back_and_one_member_more_is_refused():
    assert read_typed_data(BINDING.typed_data()) == BINDING
    for group in ("message", "domain", "types"):
        typed = BINDING.typed_data()
        typed[group]["more"] = []
        refused("malformed", read_typed_data, typed)


def test_a_wallets_library_computes_the_same_digest():
    from eth_account.messages import _hash_eip191_message, encode_typed_data

    assert _hash_eip191_message(encode_typed_data(full_message=BINDING.typed_data())) == BINDING.digest()


scalars = st.one_of(st.none(), st.integers(), st.text(max_size=8))
json_values = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(st.text(max_size=8), scalars, max_size=3)
)


@settings(derandomize=True, max_examples=150)
@given(st.sampled_from(["deed", "device", "owner", "board", "nonce", "deadline"]), json_values)
def test_foreign_typed_data_is_a_binding_or_refused(member, value):
    typed = BINDING.typed_data()
    typed["message"][member] = value
    for foreign in (typed, value):
        try:
            assert read_typed_data(foreign).typed_data() == foreign
        except Refused as error:
            assert error.reason == "malformed"


def test_a_hash_is_good_for_its_own_device_alone(place):
    labelled = place.codes.find(address(DEVICE))
    assert codes.is_code(labelled, place.label.code)
    assert not codes.is_code(labelled._replace(device=address(SECOND)), place.label.code)
