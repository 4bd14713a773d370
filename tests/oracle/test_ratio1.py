"""Ratio1's message form: its golden vector, its own package as the verifier, and messages that were tampered with."""

import json
from typing import get_args

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import ratio1
from gateway.intake import evidence
from gateway.oracle import bundles, messages
from gateway.oracle.statements import Close, Message
from tests.oracle.test_oracle_messages import MESSAGES, SITE

SECRET = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
MESSAGE = {"EE_EVENT_TYPE": "HEARTBEAT", "EE_ID": "tiny-01", "SEQ": 7, "T": 1700000000}
GOLDEN = {
    **MESSAGE,
    "SIGN_CANON_V": "v2",
    "EE_HASH": "41f9207f78306fa8d7ccfb25e6c53835199c7fd984d93a873419ffd93acf3b4f",
    "EE_SENDER": "0xai_A4MYU1tUEF1Keq5gwI_EX5aHGBtP38YlvRp1P6c5f-11",
    "EE_SIGN": "MEQCIGYV82vH0_L1giwKbKYAwiS1vhY-V-8UKx95S863OnqpAiBVs8qT6imqHkEUR0larVL-wNdqB_Eo3GQGW62rdESDQA==",
}
NESTED = {"EE_ID": "gateway", "EPOCH": 3, "TABLE": {"b": [1, True, None], "a": {"0x00": 255}}, "ROOT": "ab" * 32}


def test_the_canonical_form_is_the_golden_vectors():
    wanted = b'{"EE_EVENT_TYPE":"HEARTBEAT","EE_ID":"tiny-01","SEQ":7,"SIGN_CANON_V":"v2","T":1700000000}'
    assert ratio1.encode_canonical(GOLDEN) == wanted


def test_the_golden_vector_verifies_and_names_its_sender():
    assert ratio1.verify(GOLDEN) == GOLDEN["EE_SENDER"]


def test_signing_gives_the_golden_vectors_hash_and_sender():
    signed = ratio1.sign(MESSAGE, SECRET)
    assert {**signed, "EE_SIGN": None} == {**GOLDEN, "EE_SIGN": None}
    assert ratio1.verify(signed) == GOLDEN["EE_SENDER"]


def test_signing_leaves_the_callers_message_alone():
    message = dict(MESSAGE)
    ratio1.sign(message, SECRET)
    assert message == MESSAGE


@pytest.mark.parametrize(
    "change",
    [
        {"SEQ": 8},
        {"EXTRA": 1},
        {"SIGN_CANON_V": "v1"},
        {"EE_HASH": "00" * 32},
        {"EE_HASH": None},
        {"EE_SIGN": "AAAA"},
        {"EE_SIGN": "é"},
        {"EE_SENDER": "0xai_"},
        {"EE_SENDER": "0xai_Anm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeY"},
        {"EE_SENDER": GOLDEN["EE_SENDER"][5:]},
    ],
    ids=str,
)
def test_a_changed_message_is_refused(change):
    with pytest.raises(ratio1.MessageRefused):
        ratio1.verify({**GOLDEN, **change})


@pytest.mark.parametrize("value", [1.5, float("nan"), "Zürich", b"x", {"k": 0.1}, [{1: 2}]], ids=repr)
def test_what_json_writers_spell_differently_is_not_signed(value):
    with pytest.raises(ratio1.MessageRefused) as refusal:
        ratio1.sign({"VALUE": value}, SECRET)
    assert "message.VALUE" in str(refusal.value)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.dictionaries(st.sampled_from([*GOLDEN, "X"]), st.none() | st.integers() | st.text() | st.floats()))
def test_foreign_messages_never_raise_anything_but_a_refusal(change):
    try:
        ratio1.verify({**GOLDEN, **change})
    except ratio1.MessageRefused:
        return
    assert {**GOLDEN, **change} == GOLDEN


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """Ratio1's own verifier, its key and cache in a folder of the test's, nothing asked of the network."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("EE_EVM_NET", "devnet")
        patch.chdir(home)
        bc = pytest.importorskip("ratio1.bc", reason="the ratio1 package comes with the dev dependencies only")

        class Log:
            """The four calls that the engine makes on its logger."""

            def P(self, *_args, **_kwargs):
                """Say nothing."""

            def get_data_folder(self):
                return str(home)

            def get_target_folder(self, _name):
                return str(home)

        yield bc.DefaultBlockEngine(name="tinyren-test", log=Log(), config={}, eth_enabled=False)


@pytest.mark.parametrize("message", [MESSAGE, NESTED], ids=["flat", "nested"])
def test_the_ratio1_package_verifies_what_the_gateway_signs(engine, message):
    sent = json.loads(json.dumps(ratio1.sign(message, SECRET)))
    answer = engine.verify(sent)
    assert answer.valid, answer.message
    assert answer.sender == GOLDEN["EE_SENDER"]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_the_ratio1_package_verifies_what_gateways_and_oracles_say(engine, message):
    said = messages.seal(message, SITE, SECRET)
    answer = engine.verify(json.loads(said.payload))
    assert answer.valid and answer.sender == GOLDEN["EE_SENDER"], answer.message


def test_no_kind_of_statement_is_left_out():
    assert {type(message) for message in MESSAGES} == set(get_args(Message))


def test_the_ratio1_package_verifies_the_gateways_word_inside_a_bundle(engine, tmp_path):
    for name in ("epoch-1.cborseq", "epoch-1.windows.cborseq"):
        (tmp_path / name).write_bytes(b"")
    said = messages.seal(Close(1, evidence.digest(tmp_path, 1), 9), SITE, SECRET)
    word, *files = cbor2.loads(b"".join(bundles.pack(tmp_path, 1, said)))
    answer = engine.verify(json.loads(word))
    assert answer.valid and answer.sender == GOLDEN["EE_SENDER"] and files == [b"", b""]


def test_the_ratio1_package_refuses_a_message_changed_after_signing(engine):
    assert not engine.verify({**ratio1.sign(MESSAGE, SECRET), "SEQ": 8}).valid


def test_the_gateway_verifies_what_the_ratio1_package_signs(engine):
    for sequence in range(8):  # its signatures have either half of s
        message = {"EE_ID": "a node of Ratio1's", "SEQ": sequence, "LOAD": 0.25}
        engine.sign(message)
        assert ratio1.verify(message) == engine.address
