"""Who binds a device while somebody else does, or while its label is replaced, is refused in true words."""

from gateway.binding.pending import read_typed_data
from gateway.oracle.epoch import sign_digest
from tests.bind_site import DEVICE, OTHER
from tests.binding.test_binding import place, refused  # noqa: F401


def test_of_two_phones_at_the_same_moment_neither_is_told_that_the_device_is_a_fake(place):  # noqa: F811
    """The device answers the first that asks it, then nobody; the other's answer comes in between."""
    early, late = place.find(), place.find()
    mine, others = place.signature(early), place.signature(late, deed=2, key=OTHER)
    told, publish = [], place._publish

    def answer_first(topic, frame):
        publish(topic, frame)
        place.signer = None
        if not told:
            told.append(None)  # the other phone asks while this one waits
            told.append(refused("silent", place.service.sign, late, others))

    place.service._publish = answer_first
    assert place.service.sign(early, mine)["deed"] == 1
    assert "did not answer" in told[1] and place.contracts.bindings()[2].devices == ()


def test_a_late_answer_to_what_was_asked_before_is_not_taken_for_a_fakes(place):  # noqa: F811
    token = place.find()
    place.signer = None
    refused("silent", place.service.sign, token, place.signature(token))
    before = read_typed_data(place.service.ask(token, 1))
    signature, place.signer, publish = place.signature(token), DEVICE, place._publish

    def answer_late(topic, frame):
        place.service.answer(before.device, before.nonce, sign_digest(before.digest(), DEVICE))
        place.service._publish = publish

    place.service._publish = answer_late
    assert place.service.sign(token, signature)["deed"] == 1


def test_a_label_that_is_replaced_is_void_for_who_read_it_before_too(place):  # noqa: F811
    token, before = place.find(), place.label
    signature = place.signature(token)
    place.label = place.labelled(DEVICE)
    state = place.state()
    assert "read the one on the device now" in refused("burned", place.service.ask, token, 1)
    refused("burned", place.service.sign, token, signature)
    assert place.state() == state and place.asked == [] and before != place.label
    assert place.bind()["deed"] == 1
