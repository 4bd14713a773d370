"""What the doctor finds in gateways that are not well: each finding says what it means and what to run."""

import json
import os
import socket
import sqlite3
import time
from contextlib import closing

import pytest
from coincurve import PrivateKey

from gateway import cli
from gateway.chain import chain as chains
from gateway.configuration.settings import SETTINGS
from gateway.edge import backup, checks_chain, checks_machine, checks_page, checks_site, doctor, running
from gateway.edge.admin import Admin
from gateway.edge.checks import FAIL, OK, WARN, Gateway
from gateway.errors import Exit
from gateway.intake.evidence import Evidence, Window
from gateway.settlement import settlement
from gateway.site import site_file
from gateway.site.site_file import Site
from tests.chain_node import Node

VALUES = {one.name: one.default for one in SETTINGS}


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    (folder / "keys").mkdir(parents=True, mode=0o700)
    (folder / "keys/gateway.key").write_text("1f" * 32)
    (folder / "keys/gateway.key").chmod(0o600)
    site_file.write(folder, Site(boards=[], gateway="0xabc"))
    return folder


def found(check, folder, values=None, **more):
    gateway = Gateway(folder, VALUES | (values or {}), site=site_file.read(folder), **more)
    return [(one.level, one.says, one.mend) for one in check(gateway)]


def only(check, folder, values=None, **more):
    (finding,) = found(check, folder, values, **more)
    return finding


def test_a_key_that_others_can_read_fails_with_the_command(site):
    path = site / "keys/gateway.key"
    path.chmod(0o644)
    level, says, mend = only(checks_machine.private_files, site)
    assert level == FAIL and str(path) in says and mend == f"chmod 600 {path}"
    path.chmod(0o600)
    assert only(checks_machine.private_files, site)[0] == OK


@pytest.mark.parametrize(("behind_s", "level"), [(-5, OK), (3600, WARN), (3 * 365 * 86_400, FAIL)])
def test_a_clock_before_the_dates_of_files_is_found(behind_s, level, site):
    newest = max(time.time(), *(path.stat().st_mtime for path in site.iterdir()))
    os.utime(site / site_file.NAME, (newest, newest))
    finding = only(checks_machine.clock, site, now_s=newest - behind_s)
    assert finding[0] == level and (level == OK or finding[2] == "timedatectl set-ntp true")
    assert level != FAIL or "1,095 days before" in finding[1]


def test_a_disk_that_takes_nothing_fails(site, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checks_machine.Path, "write_bytes", full)
    assert only(checks_machine.disk, site)[:2] == (
        FAIL,
        "nothing can be written: No space left on device; no heartbeat is acknowledged",
    )


def test_little_space_is_told_before_it_is_gone(site, monkeypatch):
    for free, level in ((100 << 20, FAIL), (1 << 30, WARN), (100 << 30, OK)):
        usage = checks_machine.shutil.disk_usage(site)._replace(free=free)
        monkeypatch.setattr(checks_machine.shutil, "disk_usage", lambda path, usage=usage: usage)
        assert only(checks_machine.disk, site)[0] == level


def test_a_port_that_another_program_has_is_told_with_its_name(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        chosen = frozenset({"page.port"})
        (level, says, mend), *rest = found(checks_machine.ports, site, {"page.port": port}, chosen=chosen)
        assert (
            level == FAIL
            and f"(process {os.getpid()})" in says
            and f"gateway up {site} --set page.port=" in mend
            and rest == []
        )
        assert only(checks_machine.ports, site, {"page.port": port})[0] == WARN
    assert only(checks_machine.ports, site, {"page.port": port})[0] == OK


def test_a_running_gateway_whose_page_is_gone_fails(site):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    kept = site_file.read(site)
    kept.page_port = kept.broker_port = port
    site_file.write(site, kept)
    assert [row[0] for row in found(checks_machine.ports, site, running=True)] == [FAIL, FAIL]
    *_, (level, says, mend) = found(checks_machine.ports, site, {"tls.listen": f"127.0.0.1:{port}"}, running=True)
    assert (level, mend) == (WARN, "start the gateway again") and says.startswith(f"tls.listen {port}: ")


def test_programs_that_are_missing_are_told_with_the_package(site, monkeypatch):
    monkeypatch.setattr(checks_machine.shutil, "which", lambda *_, **__: None)
    kept = site_file.read(site)
    kept.boards = ["qemu_virt_rv32"]
    site_file.write(site, kept)
    rows = found(checks_machine.programs, site)
    assert [row[0] for row in rows] == [FAIL] * 3
    assert {row[2] for row in rows} >= {"apt-get install mosquitto", "apt-get install qemu-system-misc"}


def test_a_damaged_database_fails_and_others_are_still_checked(site):
    with closing(sqlite3.connect(site / "good.sqlite")) as database:
        database.execute("CREATE TABLE t (a)")
    (site / "bad.sqlite").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    rows = found(checks_site.stores, site)
    assert [row[0] for row in rows] == [FAIL, OK] and "bad.sqlite" in rows[0][1]
    assert rows[1][1] == "1 database is whole"


def test_a_database_that_another_program_keeps_shut_is_not_called_damaged(site):
    with sqlite3.connect(site / "admin.sqlite", isolation_level="EXCLUSIVE") as keeper:
        keeper.execute("PRAGMA locking_mode = EXCLUSIVE")
        keeper.execute("CREATE TABLE kept (x)")
        level, says, mend = found(checks_site.stores, site)[0]
    assert level == FAIL and "damaged" not in says and "could not be looked into" in says and "restore" not in mend


def test_damaged_evidence_fails_and_a_torn_end_only_warns(site):
    kept = Evidence(site / "evidence")
    for epoch in (1, 2):
        kept.open_epoch(epoch, 12, 5000, 1000)
        kept.open_window(Window(0, 1, 5, bytes(32), bytes(14)))
        kept.append([(1000, bytes(100))])
        if epoch == 1:
            kept.close_epoch(9000, 9)
    kept.release()
    assert found(checks_site.evidence_files, site) == [(OK, "2 heartbeats in the newest 2 epochs", "")]
    for epoch, levels in ((2, [WARN, OK]), (1, [FAIL, WARN, OK])):
        path = site / f"evidence/epoch-{epoch}.cborseq"
        path.write_bytes(path.read_bytes()[:-1])
        assert [row[0] for row in found(checks_site.evidence_files, site)] == levels
    (site / "evidence/epoch-1.cborseq").unlink()
    assert found(checks_site.evidence_files, site)[0][:2] == (FAIL, f"{site}/evidence/epoch-1.cborseq is missing")


def test_epochs_that_nobody_settled_are_counted(site):
    kept = Evidence(site / "evidence")
    for epoch in range(1, 6):
        kept.open_epoch(epoch, 12, 5000, 1000)
        kept.close_epoch(9000, 9)
    level, says, _ = only(checks_site.epochs, site)
    assert level == WARN and says.startswith("5 closed epochs are not settled")
    (site / "settlement").mkdir()
    (site / "settlement/epoch-4.json").write_text("{}")
    assert only(checks_site.epochs, site)[:2] == (OK, "epoch 4 is settled, 1 closed ones are not")


def test_bound_devices_that_are_silent_are_named(site):
    def row(name, deed, ago_s):
        return {"id": name, "deed": deed, "last_heartbeat_ms": None if ago_s is None else (1000 - ago_s) * 1000}

    rows = [row("0xa", 1, 1), row("0xb", 1, 60), row("0xc", 2, None), row("0xd", None, None)]
    state = {"window_ms": 5000, "devices": rows}
    level, says, _ = only(checks_site.devices, site, state=state, now_s=1000)
    assert level == WARN and says == "2 of 3 bound devices missed 3 windows: 0xb, 0xc"
    assert only(checks_site.devices, site)[0] == OK


def test_a_chain_that_does_not_answer_fails(site):
    kept = site_file.read(site)
    kept.chain_external, kept.chain_rpc = True, "http://127.0.0.1:1"
    site_file.write(site, kept)
    level, says, mend = only(checks_chain.chain, site)
    assert level == FAIL and "does not answer" in says and "chain.rpc" in mend


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A chain of somebody else's with a site's contracts: (its node, addresses, the payer's key)."""
    payer, contracts = PrivateKey(bytes([9]) * 32), {}
    chain = chains.open_embedded(tmp_path_factory.mktemp("chain") / "chain.sqlite", (chains.address_of(payer),))
    oracles = [chains.address_of(PrivateKey(bytes([number]) * 32)) for number in (1, 2, 3)]
    settlement.deploy(chain, payer, oracles, 2, {}, contracts.__setitem__)
    node = Node(chain)
    yield node, contracts, payer.to_hex()
    node.stop()
    chain.close()


@pytest.fixture
def external(site, deployed):
    """A site that settles there."""
    node, contracts, payer = deployed
    (site / "keys/deployer.key").write_text(payer)
    kept = site_file.read(site)
    kept.chain_external, kept.chain_rpc, kept.contracts = True, node.url, dict(contracts)
    site_file.write(site, kept)
    return site


def test_a_chain_that_is_well_is_told_in_a_line(external):
    level, says, _ = only(checks_chain.chain, external)
    assert level == OK and says.startswith("chain 1331 answers, block ")
    assert found(checks_chain.chain, external, now_s=time.time() + 86_400)[1][0] == WARN


def test_another_chain_a_poor_payer_and_a_chain_ahead_of_the_evidence_are_told(external, monkeypatch):
    monkeypatch.setattr(checks_chain.Settlement, "epoch", lambda _: 7)
    level, says, mend = found(checks_chain.chain, external)[1]
    assert level == FAIL and "settled epoch 7, the evidence ends with 0" in says and "epoch-1 to epoch-7" in mend
    (external / "keys/deployer.key").write_text("02" * 32)
    assert [row[0] for row in found(checks_chain.chain, external)] == [OK, FAIL, WARN]
    kept = site_file.read(external)
    kept.contracts["r1"] = "0x" + "11" * 20
    site_file.write(external, kept)
    assert "no code of r1 on chain 1331: it is another chain" in found(checks_chain.chain, external)[1][1]


@pytest.mark.parametrize(("until", "level"), [("1970-02-10", OK), ("1970-01-12", WARN), ("1970-01-10", FAIL)])
def test_a_certificate_that_ends_is_told_before(until, level, site, monkeypatch):
    values = {"tls.listen": "0.0.0.0:8883"}
    assert only(checks_site.certificate, site, values)[0] == WARN  # there is none yet
    monkeypatch.setattr(checks_site.tls, "describe", lambda _: {"until": until})
    finding = only(checks_site.certificate, site, values, now_s=10 * 86_400)
    assert finding[0] == level and (level == OK or finding[2] == "tinyren gateway tls renew")
    others = only(checks_site.certificate, site, values | {"tls.cert_file": "/a.pem"}, now_s=10 * 86_400)
    assert others[:2] == finding[:2] and (level == OK or others[2] == "have its issuer renew /a.pem")
    assert only(checks_site.certificate, site)[:2] == (OK, "no TLS is asked for")


def test_a_gateway_that_has_something_to_lose_wants_a_backup(site):
    assert only(checks_site.saved, site)[:2] == (OK, "nothing to save yet")
    (site / "settlement").mkdir()
    (site / "settlement/epoch-4.json").write_text("{}")
    level, says, mend = only(checks_site.saved, site)
    assert level == WARN and says.startswith("no backup yet") and mend.startswith("tinyren gateway backup")
    backup.note(site, {"made_ms": 86_400_000, "epoch": 4}, "there")
    assert only(checks_site.saved, site, now_s=2 * 86_400)[:2] == (OK, "saved up to epoch 4")
    assert only(checks_site.saved, site, now_s=40 * 86_400)[:2] == (WARN, "the last backup is 39 days old, epoch 4")
    for damaged in ("", "[]", '{"made_ms": "x", "epoch": 1, "to": ""}'):
        (site / backup.NOTE).write_text(damaged)
        assert only(checks_site.saved, site)[0] == WARN


def test_a_page_for_others_into_which_nobody_can_get_warns(site):
    assert only(checks_page.sign_in, site)[0] == OK
    for values in ({"page.listen": "0.0.0.0"}, {"page.tls_listen": "0.0.0.0:8443"}):
        assert only(checks_page.sign_in, site, values)[::2] == (WARN, "tinyren gateway admin-code")
    with closing(Admin(site)) as admin:
        admin.new_code()
    assert only(checks_page.sign_in, site, values)[0] == OK


def test_a_check_that_breaks_is_a_failed_check_and_the_others_go_on(site, monkeypatch):
    def broken(gateway):
        raise ZeroDivisionError("odd")
        yield

    monkeypatch.setitem(doctor.CHECKS, "clock", broken)
    rows = doctor.examine(site)
    assert [row.finding.says for row in rows if row.check == "clock"] == ["could not be checked: odd"]
    assert {row.check for row in rows} >= set(doctor.CHECKS) and doctor.verdict(rows) == Exit.FAILED


def test_the_exit_code_tells_warnings_from_failures(site, capsys, monkeypatch):
    for level, code, word in ((OK, 0, "OK"), (WARN, 12, "WARNINGS"), (FAIL, 1, "FAILED")):
        one = checks_site.Finding(level, "it is so", "do this")
        monkeypatch.setattr(doctor, "CHECKS", {"this": lambda gateway, one=one: iter([one])})
        assert cli.main(["gateway", "doctor", str(site)]) == code
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1].startswith(f"RESULT: {word} ") and lines[-2].strip() == "do: do this"
        assert cli.main(["gateway", "doctor", str(site), "--json"]) == code
        assert json.loads(capsys.readouterr().out)["checks"][-1] == {"check": "this", **one._asdict()}


def test_a_configuration_that_is_wrong_ends_the_doctor_at_its_line(site, capsys):
    (site / "config.toml").write_text("[page]\nprot = 1\n")
    assert cli.main(["gateway", "doctor", str(site)]) == Exit.FAILED
    assert "config.toml:2: unknown setting 'page.prot'" in capsys.readouterr().out


def test_asking_changes_nothing_and_a_stopped_gateway_is_known_to_be(site):
    with site_file.locked(site):
        assert running.is_running(site)
    assert not running.is_running(site) and not running.is_running(site / "nothing")
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    doctor.examine(site)
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
