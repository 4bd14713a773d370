"""A running site of an emulated board of ours and a Pico W's stand-in at a serial port: a job brings both a model."""

import json

import pytest

from gateway.errors import Exit
from tests.deeploy_boards import apply_and_wait
from tests.up_site import ROOT, Up, tinyren
from tests.update_stock import SMALL, new_standin

pytest.importorskip("serial", reason="the bridge is of the extra `flash`")
CONFIG = """[site]
boards = ["qemu_mps2_an385"]
epoch_seconds = 30
window_seconds = 2
[serial]
ports = ["{}"]
"""
JOB = f"""
name = "encoder"
[model]
file = "{ROOT / "models" / "vibration" / "encoder.ren"}"
[rollout]
steps = [1, "100%"]
"""


@pytest.fixture
def site(tmp_path):
    with new_standin(tmp_path / "board", {}, SMALL) as emulator:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "config.toml").write_text(CONFIG.format(emulator.pty))
        up = Up(folder)
        up.wait_line("1 of 1 devices are ready")
        yield up
        up.end()


def test_a_rollout_reaches_an_emulated_board_and_one_with_stock_micropython(site):
    ran = tinyren("run", "--board", SMALL, "--site", str(site.folder), "--json")
    assert ran.returncode == 0, (ran.stderr, site.lines)
    device = json.loads(ran.stdout)["id"]

    code, status, said = apply_and_wait(site, JOB)

    assert code == Exit.OK, (said, status)
    assert {row["phase"] for row in status["devices"]} == {"done"} and len(status["devices"]) == 2
    assert len({item["board"] for item in status["sequences"]}) == 2
    models = {row["id"]: row["model"] for row in site.state()["devices"]}
    assert len(set(models.values())) == 1 and device in models
