"""A computer that `tinyren flash` made a device: over TLS of the site's authority, bound by its label, it earns."""

import json
import subprocess

import pytest

from gateway.errors import Exit
from tests.ports import free_port
from tests.ssh_server import Computer, missing
from tests.up_site import COMMAND, ROOT, SHORT, Up, tinyren

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
pytest.importorskip("segno", reason="labels are drawn by the extra `labels`")
PSS_MAX_BYTES = 30 << 20


@pytest.fixture
def there(tmp_path):
    there = Computer(tmp_path / "there")
    yield there
    there.end()


@pytest.fixture
def up(tmp_path):
    (tmp_path / "site").mkdir()
    listen = f"127.0.0.1:{free_port()}"
    (tmp_path / "site" / "config.toml").write_text(f'[tls]\nlisten = "{listen}"\n[mdns]\nannounce = false\n')
    made = Up(tmp_path / "site", "--boards", "qemu_virt_rv32", *SHORT)
    made.port = listen.rpartition(":")[2]
    made.wait_line("devices are ready")
    yield made
    made.process.kill()
    made.process.wait()


def test_a_computer_is_flashed_labelled_and_bound_and_earns_over_tls_also_after_an_update(up, there):
    flash = [*COMMAND, "flash", "linux_x64", "--port", there.place, "--json"]
    where = ["--broker", f"localhost:{up.port}", "--ca", up.folder / "tls" / "ca.pem"]
    flashed = subprocess.run([*flash, *where], cwd=ROOT, env=there.environment(), capture_output=True, text=True)
    assert flashed.returncode == Exit.OK, flashed.stderr
    device = json.loads(flashed.stdout)["identity"]["id"]

    def row(state):
        return next((row for row in state["devices"] if row["id"] == device), {})

    up.wait_state(row)
    manual = tinyren("label", device, "--site", up.folder).stdout.splitlines()[-1]
    words = ["bind", "--site", up.folder, "--deed", "1", "--key", up.folder / "keys" / "owner-1.key", "--label", "-"]
    bound = tinyren(*words, input=manual)
    assert bound.returncode == Exit.OK, bound.stderr
    up.wait_state(lambda state: row(state).get("deed") == 1 and int(row(state)["earned_wei"]) > 0)

    rollup = open(f"/proc/{there.agent()}/smaps_rollup").read()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024
    assert pss <= PSS_MAX_BYTES
    earned = int(row(up.state())["earned_wei"])
    again = subprocess.run(flash, cwd=ROOT, env=there.environment(), capture_output=True, text=True)
    assert json.loads(again.stdout)["identity"] | {"boot": 2} == json.loads(again.stdout)["identity"]
    up.wait_state(lambda state: int(row(state)["earned_wei"]) > earned)
    assert up.end()[0] == Exit.OK
