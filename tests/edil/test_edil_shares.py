"""A share-holder's checks: every set that is not exactly what devices, owners and data owner signed gets no share."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.agent import cose, hkdf, rounds
from device.native import edil
from gateway import curve
from gateway.aggregation import messages
from gateway.edil import owner as owners
from gateway.edil import shares
from gateway.edil.counting import count_any
from gateway.edil.shares import SetRefused, check_set, sign_with
from tests.edil_scene import (
    CHAIN_ID,
    CONTRACT,
    DATA_OWNER,
    GATEWAY,
    HOLDER,
    OWNER,
    THIRD,
    Scene,
    make_device,
    make_key,
    make_manifest,
    sign_set,
)

SCENE = Scene()
CLOSED = SCENE.close()
BODY = messages.open_set(CLOSED.closed_set).body
KEY = HOLDER.public_key.format()
STRANGER = make_key("stranger")


def check(closed=CLOSED, key=KEY, may_count=count_any, least=2):
    return check_set(closed.manifest, closed.closed_set, key, may_count, least)


def signed(**changes):
    """The scene's set with other content, signed by the gateway all the same."""
    return CLOSED._replace(closed_set=sign_set(BODY._replace(**changes)))


def entry(index, **changes):
    """Entries of the set with one changed."""
    return tuple(one._replace(**changes) if place == index else one for place, one in enumerate(BODY.entries))


def contributions(scene, **changes):
    """The scene's set with its first device's contribution made otherwise."""
    first, *rest = sorted(scene.devices, key=lambda device: device.id)
    return scene.close([scene.contribute(first, **changes), *(scene.contribute(device) for device in rest)])


def forge_update(device=0, **changes):
    """An update of the set with fields changed, signed by the device again."""
    by_id = {one.id: one for one in SCENE.devices}
    update = messages.open_update(BODY.entries[device].frame)
    fields = dict(
        manifest=update.manifest,
        enrolment=update.enrolment,
        index=update.index,
        count=update.count,
        digest=update.digest,
    )
    frame = rounds.sign_update(update.device, sign_with(by_id[update.device].secret), **(fields | changes))
    return entry(device, frame=frame)


def test_a_good_set_passes_and_says_who_is_in_it():
    checked = check()
    assert (checked.index, checked.weights, checked.windows) == (1, 3, 9)
    assert checked.owner == curve.address_of(DATA_OWNER.secret)
    assert [device.device for device in checked.devices] == sorted(device.id for device in SCENE.devices)


def test_a_share_is_the_weighted_sum_of_the_devices_secrets_and_only_the_data_owner_opens_it():
    closed = contributions(SCENE, weight=3)
    checked = check(closed, least=1)
    frame = shares.answer(checked, HOLDER, b"n" * 12)

    share = messages.open_share(frame)
    assert share.is_by(curve.address_of(HOLDER.secret)) and share.body[:3] == (SCENE.manifest.digest, checked.digest, 1)
    assert shares.answer(checked, HOLDER, b"n" * 12) == frame
    found = owners.read_shares(check(closed, DATA_OWNER.public_key.format(), least=1), [frame], DATA_OWNER)[1]
    wanted = np.zeros(1024, np.int64)
    for device in checked.devices:
        secret = next(one.secret for one in SCENE.devices if one.id == device.device)
        key = hkdf.holder_key(secret.ecdh(KEY), device.enrolment, device.device, KEY)
        one = np.frombuffer(edil.secret(1024, hkdf.s_key(key, SCENE.manifest.digest, 0)), np.int32)
        wanted += device.weight * one
    assert (found == wanted).all()
    for other in (STRANGER, GATEWAY, THIRD):
        with pytest.raises(ValueError):
            shares.seal_of(checked, other, 1).open(share.body.nonce, share.body.sealed)


FORGED = {
    "set of another round": (lambda: signed(manifest=bytes(32)), "wanted " + SCENE.manifest.digest.hex()),
    "set that another than the named gateway signed": (
        lambda: CLOSED._replace(
            closed_set=messages.sign_set(BODY, curve.address_of(GATEWAY.secret), sign_with(STRANGER))
        ),
        "not 0x" + curve.address_of(GATEWAY.secret).hex(),
    ),
    "set that lost its last byte": (lambda: CLOSED._replace(closed_set=CLOSED.closed_set[:-1]), "malformed"),
    "devices in another order": (lambda: signed(entries=BODY.entries[::-1]), "ascending"),
    "a device twice": (lambda: signed(entries=(BODY.entries[0], *BODY.entries)), "ascending"),
    "no device": (lambda: signed(entries=()), "number of entries"),
    "weight 0": (lambda: signed(entries=entry(0, weight=0)), "weight"),
    "weight 5": (lambda: signed(entries=entry(0, weight=5)), "weight"),
    "enrolment that is not there": (lambda: signed(entries=entry(0, enrolment=1)), "enrolment"),
    "update changed in one bit": (
        lambda: signed(entries=entry(0, frame=flip(BODY.entries[0].frame))),
        "did not sign",
    ),
    "update of another round": (lambda: signed(entries=forge_update(manifest=bytes(32))), "another round"),
    "update of another index": (lambda: signed(entries=forge_update(index=1)), "another round"),
    "more windows than the round has": (lambda: signed(entries=forge_update(count=4)), "wanted at most 3"),
    "enrolment that no owner signed": (lambda: signed(entries=forge_update(enrolment=bytes(32))), "enrolment"),
    "device that encrypted to other holders": (
        lambda: contributions(SCENE, holders=[DATA_OWNER, STRANGER]),
        "other holders",
    ),
    "manifest by another than the data owner": (
        lambda: CLOSED._replace(manifest=owners.sign_manifest(STRANGER, make_manifest(SCENE.holders))),
        "wanted ",
    ),
    "manifest that is a set": (lambda: CLOSED._replace(manifest=CLOSED.closed_set[:300]), "malformed"),
}


def flip(frame):
    """A signature with another r, still well formed."""
    _, payload, signature, _ = cose.open_sign1(frame, 320)
    at = frame.index(signature) + 5
    return frame[:at] + bytes([frame[at] ^ 1]) + frame[at + 1 :]


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_set_is_refused_with_its_reason(name):
    forged, reason = FORGED[name]
    with pytest.raises(SetRefused) as refused:
        check(forged())
    assert reason in str(refused.value) and "\n" not in str(refused.value)


def asked_for(holders=SCENE.holders, **changes):
    """A round that devices would not join, and a set of it: their updates are made for its M all the same."""
    scene = Scene(holders=list(holders), manifest_changes=changes)
    plain = Scene(holders=list(holders))
    updates = [plain.contribute(device, manifest=scene.manifest.digest) for device in scene.devices]
    return scene.close(updates)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k_min": 4}, "k_min: got 3 devices, wanted at least 4"),
        ({"kind": rounds.INFERENCE, "classes": 0, "digits": 1}, "inference"),
        ({"digits": 1}, "got sums up to 30000, wanted at most 127"),
        ({"holders": [STRANGER, THIRD]}, "wanted this holder among them"),
    ],
    ids=["too few devices", "inference", "sums that do not fit", "round of other holders"],
)
def test_a_round_that_may_not_be_answered_is_refused(changes, reason):
    with pytest.raises(SetRefused, match=reason):
        check(asked_for(**changes))


def test_a_manifest_that_the_data_owner_did_not_sign_is_refused():
    _, payload, _, _ = cose.open_sign1(SCENE.manifest_frame, 384)
    forged = cose.sign1(payload, curve.address_of(DATA_OWNER.secret), sign_with(STRANGER))
    closed = signed(manifest=rounds.open_manifest(forged)[0].digest)._replace(manifest=forged)
    with pytest.raises(SetRefused, match="manifest: got a signature that is not"):
        check(closed)


def test_a_round_that_another_than_the_data_owner_asked_for_is_refused():
    frame = owners.sign_manifest(STRANGER, make_manifest(SCENE.holders))
    scene = Scene(manifest_frame=frame)
    with pytest.raises(SetRefused, match="wanted the data owner, who is holder 0"):
        check(scene.close())


def test_a_set_in_which_one_device_outweighs_the_others_is_refused():
    closed = contributions(SCENE, weight=4)
    assert check(closed, least=1).weights == 6
    with pytest.raises(SetRefused, match="3 devices that weigh as 1.1, wanted at least 2"):
        check(closed)
    with pytest.raises(SetRefused, match="weigh as 3.0, wanted at least 4"):
        check(least=4)


def test_a_device_that_may_not_be_counted_spoils_the_set():
    asked = []

    def may_count(device, owner):
        asked.append((device, owner))
        return "" if len(asked) < 3 else "is bound to no deed"

    with pytest.raises(SetRefused, match=f"device 0x{max(d.id for d in SCENE.devices).hex()}: is bound to no deed"):
        check(may_count=may_count)
    owner = curve.address_of(OWNER.secret)
    assert asked == [(device, owner) for device in sorted(device.id for device in SCENE.devices)]


def test_devices_of_several_owners_and_three_holders_are_one_round():
    devices = [make_device(number, owner=make_key(f"owner {number % 2}")) for number in range(4)]
    scene = Scene(holders=[DATA_OWNER, THIRD, HOLDER], devices=devices)
    closed = scene.close()
    assert len(messages.open_set(closed.closed_set).body.enrolments) == 2
    assert check(closed).index == 2


def test_an_enrolment_of_another_owner_is_not_taken_for_the_devices():
    other = make_key("other owner")
    keys = [key.public_key.format() for key in SCENE.holders]
    frame = owners.sign_enrolment(other, CHAIN_ID, CONTRACT, keys, 1)
    with pytest.raises(SetRefused, match="enrolment"):
        check(signed(enrolments=(frame,)))


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.integers(0, len(CLOSED.closed_set) - 1), st.integers(1, 255))
def test_a_set_with_any_byte_changed_is_refused(at, change):
    frame = bytearray(CLOSED.closed_set)
    frame[at] ^= change
    with pytest.raises(SetRefused):
        check(CLOSED._replace(closed_set=bytes(frame)))


@settings(derandomize=True, max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_noise_is_no_set_and_no_manifest(noise):
    for closed in (CLOSED._replace(closed_set=noise), CLOSED._replace(manifest=noise)):
        with pytest.raises(SetRefused):
            check(closed)
