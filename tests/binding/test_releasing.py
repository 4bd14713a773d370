"""A release at the gateway: the chain first, then the owner's word, then the device's; and who may make one blink."""

import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import light, mqtt
from device.agent import owner as device_owner
from device.agent.errors import LocalError
from gateway.binding import releasing
from gateway.binding.pending import Refused
from gateway.errors import Exit
from gateway.oracle.epoch import sign_digest, signer_of
from gateway.settlement import settlement
from tests.bind_site import DEVICE, OTHER, OWNER, PAYER, Place, address, name
from tests.binding.test_bind_command import Page


class Scene(Place):
    """A Place whose device is bound to deed 1, and whose link answers release messages as the agent does."""

    def __init__(self, folder):
        super().__init__(folder)
        self.asked_release, self.sent, self.back_s = [], [], 0.0
        self.bind()
        self.chain.pay(name(OWNER), 10**16, PAYER)

    def free(self):
        settlement.Settlement(self.chain, self.contracts.contracts, OWNER).release(name(DEVICE))

    def ask(self):
        return self.service.releasing.ask(address(DEVICE), address(OWNER))

    def sign(self, key=OWNER, whose=OWNER, boot=1):
        digest = releasing.Release(**vars(self.ask()) | {"boot": boot}).digest()
        arguments = (address(DEVICE), address(whose), boot, sign_digest(digest, key))
        return self.service.releasing.sign(*arguments)

    def _publish(self, topic, frame):
        kind = topic.rpartition("/")[2]
        self.sent.append((kind, frame))
        super()._publish(topic, frame)
        if kind == "release":
            chain_id, contract, boot, signature = device_owner.decode_release(frame)
            release = releasing.Release(chain_id, contract, address(DEVICE), address(OWNER), boot)
            self.asked_release.append(signature)
            if self.signer and self.now_s >= self.back_s:
                self.service.answer(address(DEVICE), boot, sign_digest(release.digest(), self.signer))


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr(releasing, "RETRY_S", 0.001)
    made = Scene(tmp_path)
    yield made
    made.close()


def refused(call, reason):
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.reason == reason
    return str(caught.value)


def test_the_chain_is_first_and_the_device_is_asked_nothing_before(scene):
    assert "bound to deed 1" in refused(scene.ask, "bound")
    scene.free()
    assert scene.sign() == {"device": name(DEVICE), "boot": 1}
    assert len(scene.asked_release) == 1 and scene.contracts.deed_of(name(DEVICE)) == 0


def test_who_asks_twice_at_once_is_told_to_wait_and_the_first_is_answered(scene):
    scene.free()
    publish, told = scene._publish, []

    def ask_again(topic, frame):
        scene.service.releasing._publish = publish
        told.append(refused(scene.sign, "tries"))
        publish(topic, frame)

    scene.service.releasing._publish = ask_again
    assert scene.sign() == {"device": name(DEVICE), "boot": 1}
    assert "wait a minute and look again" in told[0] and len(scene.asked_release) == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [({"key": OTHER}, "signature"), ({"whose": OTHER}, "signature"), ({"boot": 2}, "expired")],
)
def test_a_wrong_word_reaches_no_device(scene, wrong, reason):
    scene.free()
    refused(lambda: scene.sign(**wrong), reason)
    assert scene.asked_release == []
    assert scene.sign()["boot"] == 1


@pytest.mark.parametrize("signer", [None, OTHER], ids=["silent", "another key"])
def test_a_device_that_does_not_answer_with_its_key_is_waited_for_and_may_be_tried_again(scene, signer):
    scene.free()
    scene.signer = signer
    assert "did not answer" in refused(scene.sign, "silent")
    assert len(scene.asked_release) > 1
    scene.signer = DEVICE
    assert scene.sign()["boot"] == 1


def test_a_device_that_lost_its_account_and_two_connects_is_asked_until_it_is_back(scene):
    scene.free()
    scene.back_s = scene.now_s + (mqtt.PING_MS + 3 * mqtt.REPLY_MS) / 1000
    assert scene.sign()["boot"] == 1 and scene.now_s >= scene.back_s


def test_an_answer_that_nobody_waits_for_changes_nothing(scene):
    scene.free()
    release = scene.ask()
    assert not scene.service.releasing.answer(address(DEVICE), 1, sign_digest(release.digest(), DEVICE))
    scene.signer = None
    refused(scene.sign, "silent")


def test_a_device_that_was_never_heard_is_told_apart(scene):
    scene.free()
    scene.devices.clear()
    assert "has not been heard here" in refused(scene.ask, "silent")
    assert "has not been heard here" in refused(lambda: scene.service.lights.identify(address(DEVICE), 5), "silent")


def test_a_device_blinks_once_and_then_only_when_it_has_rested(scene):
    lights, before = scene.service.lights, len(scene.sent)
    lights.identify(address(DEVICE), 3)
    assert "ask again in" in refused(lambda: lights.identify(address(DEVICE), 3), "tries")
    scene.now_s += 3 + light.REST_MS / 1000
    lights.identify(address(DEVICE), 30)
    assert [light.decode_identify(frame) for _, frame in scene.sent[before:]] == [3, 30]
    scene.now_s += 60
    with pytest.raises(LocalError):
        lights.identify(address(DEVICE), 31)
    lights.identify(address(DEVICE), 1)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = Page(tmp_path_factory.mktemp("page"))
    yield made
    made.close()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.sampled_from(["show", "identify", "release", "released"]),
    st.fixed_dictionaries(
        {},
        optional={
            "token": st.text(max_size=8),
            "device": st.text(max_size=8) | st.just("0x" + "ab" * 20),
            "owner": st.just("0x" + "cd" * 20) | st.integers(),
            "boot": st.integers() | st.text(max_size=3),
            "seconds": st.integers(-1, 32) | st.none(),
            "signature": st.binary(max_size=70).map(bytes.hex),
        },
    ),
)
def test_any_body_is_answered_as_malformed_or_refused(page, path, body):
    before = page.place.state()
    answer = page.post(path, json=body)
    assert answer.status_code in (400, 409) and answer.json()["message"]
    assert page.place.state() == before and page.place.asked == []


def test_the_page_of_a_phone_has_the_found_device_blink(page):
    token = page.place.find()
    assert page.post("show", json={"token": token}).json() == {}
    assert page.post("show", json={"token": token}).status_code == 409
    assert page.post("show", json={"token": "none"}).json()["error"] == "expired"


def test_what_a_wallet_signs_of_a_release_is_what_device_and_gateway_compute():
    release = releasing.Release(1337, b"\x0c" * 20, address(DEVICE), address(OWNER), 4)
    signed = Account.from_key(OWNER.secret).sign_typed_data(full_message=release.typed_data())
    assert signer_of(release.digest(), bytes(signed.signature)) == address(OWNER)


def test_what_a_gateway_wants_signed_beyond_a_release_is_refused(monkeypatch):
    from gateway.binding import client

    release = releasing.Release(1337, b"\x0c" * 20, address(DEVICE), address(OWNER), 4)
    sent = []

    def post(url, verb, body):
        sent.append(verb)
        return {**release.typed_data(), "primaryType": "Binding"}

    monkeypatch.setattr(client, "_post", post)
    with pytest.raises(Refused, match="nothing was signed"):
        client.release("", address(DEVICE), OWNER, b"\x0c" * 20)
    assert sent == ["release"] and client.CODES["silent"] == Exit.TIMEOUT
    monkeypatch.setattr(client, "_post", lambda url, verb, body: sent.append(verb) or release.typed_data())
    with pytest.raises(Refused, match="nothing was signed"):
        client.release("", address(DEVICE), OWNER, b"\x0d" * 20)
    assert sent == ["release"] * 2
