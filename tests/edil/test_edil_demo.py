"""The demo: a real broker, real agents as processes, a real share-holder; and no single device's values anywhere."""

import json
import re

import numpy as np
import pytest

from gateway.edil import demo as demos
from gateway.edil import demo_signals as signals
from gateway.errors import CommandError, Exit
from gateway.progress import Progress
from tests.edil.test_edil_commands import run

BOARD = "qemu_mps2_an385"
FIELDS = {
    "survivors", "dropped", "rejected", "aggregate_equal", "accuracy_encrypted", "accuracy_pooled", "upload_bytes",
    "instructions", "updates_per_s", "subset_decryptions_failed",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(result, folder) of a demo of six devices of this computer, of which one dies and one lies, and a board."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    windows, demos.WINDOWS = demos.WINDOWS, 4
    try:
        yield demos.demo(7, BOARD, folder, Progress()), folder
    finally:
        demos.WINDOWS = windows


def test_the_sums_are_those_of_the_survivors_and_the_head_is_the_pooled_one(finished):
    result, _ = finished
    assert FIELDS <= result.keys() and json.loads(json.dumps(result)) == result
    assert (result["survivors"], result["dropped"], result["rejected"], result["windows"]) == (5, 1, {"residue": 1}, 20)
    assert result["aggregate_equal"] is True and result["subset_decryptions_failed"] is True
    assert result["accuracy_encrypted"] == result["accuracy_pooled"] > 0.5
    assert 3456 < result["upload_bytes"] < 3456 + 600 and result["updates_per_s"] > 0
    assert result["instructions"].keys() == {BOARD} and 0 < result["instructions"][BOARD] <= 800_000


def test_nothing_of_a_single_device_lies_in_the_gateways_files_or_the_share_holders(finished):
    """Neither its embeddings nor its sums, in any of the forms in which programs write numbers down."""
    _, folder = finished
    files = [path for path in folder.rglob("*") if path.is_file() and "devices/" not in str(path.relative_to(folder))]
    content = b"\0".join(path.read_bytes() for path in files)
    assert {"edil.sqlite", "share-holder.answers", "shareholder.log"} <= {path.name for path in files}
    for number in range(7):
        raw = signals.make_windows(1000 + number, number % 3, 4)
        z = signals.embed(raw)
        for values in (z[0], z.sum(axis=0), (z.T @ z)[np.triu_indices(16)]):
            for kind in ("int8", "<i2", "<i4", "<i8", "<f8"):
                assert values.astype(kind).tobytes() not in content
            digits = [str(value).encode() for value in values[:8].tolist()]
            assert not re.search(rb"[^0-9-]{1,4}".join(digits), content)
        assert raw[0].tobytes() not in content and raw[0].astype("<i2").tobytes()[:64] not in content


@pytest.mark.parametrize(("devices", "boards", "wanted"), [(5, "", 6), (7, "a,b,c,d,e", 8), (2, "qemu_virt_rv32", 6)])
def test_too_few_devices_are_refused_before_anything_starts(devices, boards, wanted):
    with pytest.raises(CommandError, match=f"wanted at least {wanted}") as refused:
        demos.demo(devices, boards, None, Progress())
    assert refused.value.code == Exit.USAGE


def test_the_command_refuses_a_board_that_there_is_not(capsys):
    code, told, error = run(capsys, "edil", "demo", "--devices", 8, "--boards", "nano")
    assert (code, told) == (Exit.USAGE, None) and "board: got 'nano'" in error
