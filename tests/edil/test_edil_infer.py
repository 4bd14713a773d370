"""Encrypted inference at the data owner: heads that the ring carries, logits of honest answers, refusals of others."""

import numpy as np
import pytest

from device.agent import rounds
from gateway.aggregation import heads
from gateway.aggregation.answering import apply_head, make_product
from gateway.aggregation.rounds_store import Ciphertext
from gateway.edil import infer
from gateway.edil.owner import NotOpened
from tests.edil.test_edil_shares import flip
from tests.edil_scene import DATA_OWNER, HOLDER, NOW_MS, Scene, make_device, make_key

SCENE = Scene(manifest_changes={"kind": rounds.INFERENCE, "classes": 0, "digits": 1})
DEVICE = make_device(1)
RNG = np.random.default_rng(8)
FITTED = {"weights": RNG.normal(0, 3, (16, 4)).tolist(), "bias": RNG.normal(0, 9, 4).tolist()}
HEAD = infer.quantise_head(SCENE.manifest, FITTED)
SENT = SCENE.contribute_embedding(DEVICE, 2)
ANSWER = apply_head(
    SCENE.manifest,
    make_product(SCENE.manifest, HEAD),
    Ciphertext(SCENE.manifest.digest, DEVICE.id, 2, b"", b"", SENT.frame, SENT.ciphertext, NOW_MS),
).ciphertext


def read(header=SENT.frame, ciphertext=ANSWER, secret=DATA_OWNER, head=HEAD):
    return infer.read_logits(SCENE.manifest, head, secret, header, ciphertext)


def test_logits_are_those_of_the_head_in_integers_and_c1_is_not_needed():
    z = np.clip(DEVICE.embeddings[2], -100, 100)
    wanted = (np.array(HEAD.weights) @ z + HEAD.bias).tolist()
    assert read() == (DEVICE.id, 2, wanted)
    assert read(ciphertext=ANSWER[:3456] + bytes(3456)) == (DEVICE.id, 2, wanted)


def test_a_head_is_the_finest_that_fits_and_says_the_classes_of_the_fitted_one():
    heads.check_head(SCENE.manifest, HEAD)
    assert 3 < max(abs(weight) for row in HEAD.weights for weight in row) <= 127
    z = RNG.integers(-100, 101, (500, 16))
    fitted = (z @ np.array(FITTED["weights"]) + FITTED["bias"]).argmax(axis=1)
    assert ((z @ np.array(HEAD.weights).T + HEAD.bias).argmax(axis=1) == fitted).mean() > 0.9


@pytest.mark.parametrize("fitted", [{"weights": np.zeros((16, 4)), "bias": [0] * 4}, {**FITTED, "bias": [1e9] * 4}])
def test_a_head_that_no_integers_of_the_ring_carry_is_refused(fitted):
    with pytest.raises(NotOpened):
        infer.quantise_head(SCENE.manifest, fitted)


OTHER = Scene(manifest_changes={"kind": rounds.INFERENCE, "classes": 0, "digits": 1, "round": 8})


@pytest.mark.parametrize(
    "changes",
    [
        {"header": flip(SENT.frame)},
        {"header": OTHER.contribute_embedding(DEVICE, 2).frame},
        {"ciphertext": ANSWER[:-1]},
        {"ciphertext": ANSWER[:3456]},
        {"ciphertext": b""},
        {"ciphertext": b"\xff" * 6912},
    ],
    ids=["not signed", "another round", "cut", "half", "nothing", "residues from q on"],
)
def test_an_answer_that_is_not_of_this_round_is_refused(changes):
    with pytest.raises(NotOpened):
        read(**changes)


@pytest.mark.parametrize("secret", [HOLDER, make_key("stranger")], ids=["share-holder", "stranger"])
def test_nobody_but_the_data_owner_reads_logits(secret):
    assert read(secret=secret)[2] != read()[2]


def test_an_answer_for_another_embedding_gives_other_logits():
    assert read(header=SCENE.contribute_embedding(DEVICE, 1).frame)[2] != read()[2]
