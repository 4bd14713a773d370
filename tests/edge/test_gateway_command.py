"""A gateway as an operator has it: made, run as a service, looked at, saved while it runs, restored and run on."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import closing

import httpx
import pytest

from gateway import cli
from gateway.broker import broker_url
from gateway.configuration import configuration
from gateway.edge import listening, status
from gateway.edge.admin import Admin
from gateway.errors import Exit
from gateway.site import site_file
from tests.ports import free_port
from tests.project.test_cli import commands
from tests.up_site import COMMAND, ROOT, WAIT_S, tinyren

PASSPHRASE = "correct horse battery"
MADE = ["up", "status", "doctor", "backup", "support-bundle", "admin-code"]


def tree(folder):
    """Content by name; what SQLite makes and removes beside its files does not count."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-wal", "-shm"))]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


class Gateway:
    """`tinyren gateway up` while it runs, with a service manager that listens."""

    def __init__(self, folder, tmp_path, *settings):
        self.folder = folder
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = tmp_path / f"notify{len(list(tmp_path.glob('notify*')))}"
        self.manager.bind(str(path))
        self.manager.settimeout(WAIT_S)
        command = [*COMMAND, "gateway", "up", str(folder)]
        for setting in settings:
            command += ["--set", setting]
        environment = os.environ | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "900000"}
        self.said = path.with_suffix(".said")
        with self.said.open("w") as said:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
        assert self.told().startswith("READY=1\nSTATUS=page on port ")

    def told(self):
        """The next thing that the service manager is told."""
        try:
            return self.manager.recv(4096).decode()
        except TimeoutError:
            raise AssertionError(self.said.read_text()) from None

    @property
    def url(self):
        return f"http://127.0.0.1:{site_file.read(self.folder).page_port}"

    def wait_epoch(self, number):
        """Wait, by the watchdog's signs of life, until an epoch is settled."""
        for _ in range(4 * WAIT_S):
            assert self.told() == "WATCHDOG=1", self.said.read_text()
            epochs = httpx.get(f"{self.url}/state.json").json()["epochs"]
            if any(row["epoch"] >= number and row["state"] == "settled" for row in epochs):
                return
        raise AssertionError(epochs)

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        try:
            code = self.process.wait(WAIT_S)
        finally:
            self.process.kill()
            self.manager.close()
        return code, self.said.read_text()


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "site"
    assert cli.main(["gateway", "init", str(folder), "--json"]) == 0
    return folder


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    return str(path)


def test_init_makes_keys_a_configuration_and_one_code_and_nothing_twice(tmp_path, capsys):
    folder = tmp_path / "site"
    assert cli.main(["gateway", "init", str(folder), "--lan"]) == 0
    said = capsys.readouterr().out
    code = re.search(r"admin code, shown once: (\S+)", said)[1]
    assert f"next: tinyren gateway up {folder}" in said
    values = configuration.load(folder, None, None, {}).values
    assert (values["site.boards"], values["page.listen"], values["page.tls_listen"]) == (
        [],
        "127.0.0.1",
        "0.0.0.0:8443",
    )
    assert (values["broker.listen"], values["tls.listen"]) == ("0.0.0.0:1883", "0.0.0.0:8883")
    assert {os.stat(path).st_mode & 0o077 for path in folder.glob("keys/*")} == {0}
    assert code not in str(tree(folder))
    with closing(Admin(folder)) as admin:
        assert admin.sign_in(code)
    before = tree(folder)
    assert cli.main(["gateway", "init", str(folder)]) == Exit.NOTHING_TO_DO
    assert "this gateway is made already" in capsys.readouterr().err and tree(folder) == before


def test_init_takes_up_what_was_cut_off(made, capsys):
    key = (made / "keys/gateway.key").read_text()
    (made / "config.toml").unlink()
    assert cli.main(["gateway", "init", str(made)]) == 0
    assert (made / "keys/gateway.key").read_text() == key and "admin code" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rpc", "ftp://secret-0123456789"], "chain.rpc: got a value that is not shown, wanted http"),
        (["--boards", "qemu_virt"], "board: got 'qemu_virt', wanted one of"),
        (["--key", __file__], "--key: got one without --rpc"),
    ],
)
def test_init_refuses_what_cannot_be_before_anything_is_made(arguments, message, tmp_path, capsys):
    assert cli.main(["gateway", "init", str(tmp_path / "site"), *arguments]) == Exit.USAGE
    said = capsys.readouterr().err
    assert message in said and "0123456789" not in said and list(tmp_path.iterdir()) == []


def test_a_dry_run_of_init_prints_the_configuration_and_makes_nothing(tmp_path, capsys):
    assert cli.main(["gateway", "init", str(tmp_path / "site"), "--lan", "--dry-run"]) == 0
    assert 'tls_listen = "0.0.0.0:8443"' in capsys.readouterr().out and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", MADE)
def test_a_folder_without_a_gateway_is_told_how_to_make_one(verb, tmp_path, capsys):
    assert cli.main(["gateway", verb, str(tmp_path / "site")]) == Exit.USAGE
    assert f"make one: tinyren gateway init {tmp_path / 'site'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_gateway_serves_is_saved_while_it_runs_and_goes_on_elsewhere(tmp_path, passphrase, capsys):
    def run(verb, *arguments, codes=(0,)):
        capsys.readouterr()
        code = cli.main(["gateway", verb, *map(str, arguments), "--json"])
        said = capsys.readouterr()
        assert code in codes, said
        return json.loads(said.out)

    folder, again, saved = tmp_path / "site", tmp_path / "again", str(tmp_path / "b")
    run("init", folder, "--boards", "qemu_mps2_an385")
    lan = free_port()
    short = ["site.epoch_seconds=4", "site.window_seconds=1", f"broker.listen=127.0.0.2:{lan}"]
    gateway = Gateway(folder, tmp_path, *short)
    socket.create_connection(("127.0.0.2", lan), timeout=5).close()
    gateway.wait_epoch(1)
    told = run("status", folder)
    assert told["running"] and told["bound"] == 1 and told["settled"] >= 1
    assert run("doctor", folder, codes=(0, 12))["checks"]
    secret = ["--passphrase-file", passphrase]
    run("backup", folder, "--to", saved, *secret)
    cid = run("backup", folder, "--to", "r1fs", *secret)["to"]
    run("restore", cid, tmp_path / "fetched", "--peer", gateway.url, *secret)
    assert (tmp_path / "fetched/keys/gateway.key").exists()
    code, said = gateway.end()
    assert (code, said.splitlines()[-1][:10]) == (0, "RESULT: OK"), said
    before = tree(folder / "keys")
    run("restore", saved, again, *secret)
    assert tree(again / "keys") == before
    gateway = Gateway(again, tmp_path)
    gateway.wait_epoch(told["settled"] + 2)
    assert gateway.end(signal.SIGINT)[0] == 0
    for epoch in (1, told["settled"] + 2):
        verified = tinyren("verify", again, "--epoch", epoch)
        assert verified.returncode == 0, verified.stdout


def test_a_gateway_that_is_killed_is_known_to_be_stopped_and_starts_again(made, tmp_path):
    gateway = Gateway(made, tmp_path)
    assert status.gather(made)["running"]
    gateway.end(signal.SIGKILL)
    found = status.gather(made)
    assert not found["running"] and found["gateway"].startswith("0x") and "stopped" in status.lines(found)[0]
    gateway = Gateway(made, tmp_path)
    assert httpx.get(f"{gateway.url}/state.json").json()["devices"] == []
    assert gateway.end()[0] == 0


@pytest.mark.parametrize("name", listening.PLACES)
def test_a_place_that_another_program_has_is_told_before_anything_is_made(name, made, capsys):
    before = tree(made)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        assert cli.main(["gateway", "up", str(made), "--set", f"{name}={place}"]) == Exit.PORT
    assert f"{name} {place}: Address already in use; stop the program" in capsys.readouterr().err
    assert cli.main(["gateway", "up", str(made), "--set", f"{name}=192.0.2.1:1883"]) == Exit.PORT
    assert "this machine has no such address" in capsys.readouterr().err and tree(made) == before


def test_a_broker_elsewhere_does_not_listen_here(made, capsys, monkeypatch):
    monkeypatch.setattr(broker_url, "check", lambda _: None)
    given = ["--set", "broker.url=mqtt://127.0.0.1:1", "--set", "broker.listen=127.0.0.1:1"]
    assert cli.main(["gateway", "up", str(made), *given]) == Exit.USAGE
    assert "broker.listen: got one with broker.url" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name --key FILE or --passphrase-file FILE"),
        (["--passphrase-file", "SHORT"], "passphrase: got 5 characters, wanted 10 or more"),
        (["--passphrase-file", "SHORT", "--key", "SHORT"], "--key: got one with --passphrase-file"),
        (["--key", "SHORT"], "wanted 64 hex digits"),
    ],
)
def test_a_backup_nobody_could_keep_secret_is_refused(arguments, message, made, tmp_path, capsys, monkeypatch):
    (tmp_path / "short").write_text("12345")
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    given = [str(tmp_path / "short") if word == "SHORT" else word for word in arguments]
    assert cli.main(["gateway", "backup", str(made), *given]) == Exit.USAGE
    assert message in capsys.readouterr().err and tree(tmp_path).keys() - before.keys() <= {_lock(made, tmp_path)}


def _lock(made, tmp_path):
    return (made / "backup.lock").relative_to(tmp_path)


def test_a_dry_run_of_bundle_and_backup_writes_nothing(made, tmp_path, capsys):
    before = tree(made)
    assert cli.main(["gateway", "support-bundle", str(made), "--dry-run"]) == 0
    assert cli.main(["gateway", "backup", str(made), "--dry-run"]) == 0
    assert "would save" in capsys.readouterr().out
    assert tree(made).keys() - before.keys() == {(made / "backup.lock").relative_to(made)}


@pytest.mark.parametrize(
    "verb", ["init", "up", "status", "doctor", "backup", "restore", "support-bundle", "admin-code"]
)
def test_every_verb_and_option_is_in_the_document_and_fits_80_columns(verb, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    parser = commands(commands()["gateway"])[verb]
    document = (ROOT / "docs/gateway.md").read_text()
    options = [word for action in parser._actions for word in action.option_strings[-1:]]
    assert f"tinyren gateway {verb}" in document
    assert not [one for one in options if one != "--help" and f"`{one}" not in document]
    assert all(action.help for action in parser._actions) or verb == "restore"
    assert max(map(len, parser.format_help().splitlines())) <= 80


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make files for another user")
def test_root_leaves_nothing_that_the_gateways_user_could_not_use(tmp_path, passphrase, capsys):
    folder, again = tmp_path / "site", tmp_path / "again"
    for path in (folder, again):
        path.mkdir()
        os.chown(path, 65534, 65534)
    for command in (
        ["init", str(folder)],
        ["admin-code", str(folder)],
        ["doctor", str(folder)],
        ["backup", str(folder), "--to", str(tmp_path / "b"), "--passphrase-file", passphrase],
        ["restore", str(tmp_path / "b"), str(again), "--passphrase-file", passphrase],
    ):
        assert cli.main(["gateway", *command]) in (0, 12)
    for path in (folder, again, *folder.rglob("*"), *again.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534), path
    capsys.readouterr()
    assert cli.main(["gateway", "up", str(folder)]) == Exit.REFUSED
    assert f"sudo -u nobody tinyren gateway up {folder}" in capsys.readouterr().err
