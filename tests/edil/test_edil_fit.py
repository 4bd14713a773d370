"""What is fitted from exact sums is what pooled embeddings give; sums that no embeddings have are refused."""

import json

import numpy as np
import pytest

from device.agent import rounds
from gateway.edil import fit
from gateway.edil.demo_signals import fit_pooled
from gateway.edil.fit import SumsRefused, split
from tests.edil_scene import DATA_OWNER, FACTS, HOLDER, make_manifest, sum_windows

RNG = np.random.default_rng(4)
WIDTH, CLIP = FACTS.width, 100
MIXING = RNG.normal(0, 1, (WIDTH, WIDTH))


def make_embeddings(count, seed):
    """Correlated embeddings of three classes, some beyond the clip, and their classes."""
    rng = np.random.default_rng(seed)
    classes = np.arange(count) % 3
    centres = np.random.default_rng(9).normal(0, 30, (3, WIDTH))
    z = np.rint(centres[classes] + 12 * rng.normal(0, 1, (count, WIDTH)) @ MIXING / 4)
    return np.clip(z, -128, 127).astype(np.int64), classes


Z, CLASSES = make_embeddings(240, 1)
HELD = np.clip(Z, -CLIP, CLIP)
MANIFEST = make_manifest([DATA_OWNER, HOLDER], windows=240)
SUMS = split(MANIFEST, len(Z), sum_windows(MANIFEST, Z, CLASSES).tolist())


def test_moments_are_those_of_the_pooled_embeddings():
    found = fit.fit(MANIFEST, SUMS, FACTS.scale, FACTS.zero_point, 0.001, 0.01)
    real = FACTS.scale * (HELD - FACTS.zero_point)
    assert np.allclose(found["mean"], real.mean(axis=0)) and np.allclose(found["covariance"], np.cov(real.T, bias=True))
    variances = np.array(found["pca"]["variances"])
    axes = np.array(found["pca"]["axes"])
    assert np.allclose(variances, np.sort(np.linalg.eigvalsh(np.cov(real.T, bias=True)))[::-1])
    assert np.allclose(np.cov((real @ axes.T).T, bias=True), np.diag(variances))
    assert json.loads(json.dumps(found)) == found


def test_the_head_is_the_one_that_pooled_embeddings_give_and_says_the_same_classes():
    head = fit.regress(SUMS, SUMS.class_z, SUMS.counts, 0.001)
    pooled = fit_pooled(HELD, CLASSES, 3, 0.001)
    assert np.allclose(np.vstack([head["weights"], [head["bias"]]]), pooled)
    unseen, wanted = make_embeddings(600, 2)
    said = fit.classify(head, np.clip(unseen, -CLIP, CLIP))
    assert (said == (np.column_stack([np.clip(unseen, -CLIP, CLIP), np.ones(600)]) @ pooled).argmax(axis=1)).all()
    assert (said == wanted).mean() > 0.9


def test_the_threshold_lets_about_the_asked_share_of_ordinary_windows_pass_and_finds_others():
    rng = np.random.default_rng(5)
    ordinary = np.rint(20 * rng.normal(0, 1, (4000, WIDTH))).astype(np.int64).clip(-100, 100)
    manifest = make_manifest([DATA_OWNER, HOLDER], kind=rounds.MOMENTS, classes=0, digits=4, windows=255)
    values = np.concatenate([ordinary.sum(0), (ordinary.T @ ordinary)[np.triu_indices(WIDTH)]])
    found = fit.anomaly(split(manifest, 4000, values.tolist()), 0.0, 0.01)
    alarms = (fit.distances(found, ordinary) > found["threshold"]).mean()
    assert 0.003 < alarms < 0.02
    assert (fit.distances(found, ordinary + 60) > found["threshold"]).all()


def test_the_decoder_restores_what_depends_on_the_embedding_linearly():
    rows = 5
    manifest = make_manifest([DATA_OWNER, HOLDER], kind=rounds.DECODER, classes=0, first_row=2, rows=rows, digits=4)
    slope = np.random.default_rng(6).integers(-1, 2, (WIDTH, rows))
    z = np.random.default_rng(7).integers(-5, 6, (200, WIDTH))
    x = z @ slope + 3
    upper = (z.T @ z)[np.triu_indices(WIDTH)]
    values = np.concatenate([z.sum(0), upper, x.sum(0), (x.T @ z).ravel()])
    sums = split(manifest, 200, values.tolist())
    found = fit.fit(manifest, sums, 1.0, 0, 0.0, 0.01)["decoder"]
    assert found["first_row"] == 2
    assert np.allclose(found["weights"], slope) and np.allclose(found["bias"], 3)


def test_sums_that_are_read_from_a_file_are_those_that_were_written():
    fields = {name: value for name, value in zip(MANIFEST.FIELDS, MANIFEST.values(), strict=True)}
    holders = [key.public_key.format().hex() for key in (DATA_OWNER, HOLDER)]
    model = "bafkreicryllxa7sk2xlr4msbx2evi6myk7vhevcbqrqdsp5fakgapbbytu"
    values = sum_windows(MANIFEST, Z, CLASSES).tolist()
    written = json.loads(json.dumps({**fields, "model": model, "holders": holders, "count": 240, "values": values}))
    manifest, sums = fit.read_sums(written)
    assert manifest.values() == MANIFEST.values() and (sums.class_z == SUMS.class_z).all()
    for name in written:
        with pytest.raises(SumsRefused):
            fit.read_sums({key: value for key, value in written.items() if key != name})
        for wrong in (None, "x", -5, [1]):
            with pytest.raises(SumsRefused):
                fit.read_sums({**written, name: wrong if written[name] != wrong else 0})


def changed(place, by):
    values = sum_windows(MANIFEST, Z, CLASSES)
    values[place] += by
    return values.tolist()


@pytest.mark.parametrize(
    ("windows", "values", "reason"),
    [
        (240, [0] * 5, "got 5 values of 240 windows, wanted 203"),
        (0, changed(0, 0), "0 windows"),
        (240, changed(0, 60_000), "more than 240 windows within -100..100"),
        (240, changed(16, -(10**6)), "negative eigenvalue"),
        (240, changed(152, 1), "wanted 240 in all"),
        (240, changed(155, 1), "not the sum of all"),
    ],
    ids=["length", "no window", "sum", "squares", "counts", "class sums"],
)
def test_sums_that_no_embeddings_have_are_refused(windows, values, reason):
    with pytest.raises(SumsRefused, match=reason):
        split(MANIFEST, windows, values)


def test_a_head_is_evaluated_on_labelled_rows():
    found = {"head": fit.regress(SUMS, SUMS.class_z, SUMS.counts, 0.001), "clip": CLIP}
    rows = "\n".join(",".join(map(str, [label, *row])) for label, row in zip(CLASSES, Z, strict=True))
    result = fit.evaluate(found, rows + "\n\n")
    assert result["windows"] == 240 and result["accuracy"] == result["correct"] / 240 > 0.9
    for text in ("", "1,2", rows + "\n1,2,3", rows.replace("0", "x")):
        with pytest.raises(SumsRefused):
            fit.evaluate(found, text)
    with pytest.raises(SumsRefused):
        fit.evaluate({"anomaly": {}}, rows)
