"""A whole site with everything real: what `tinyren up` makes, and what it survives. One site goes through all of it."""

import os
import re
import signal
import socket
from collections import Counter
from types import SimpleNamespace

import cbor2
import pytest

from device.agent import wire
from gateway.chain import chain
from gateway.settlement import settlement
from gateway.site import site_file
from tests import ingest_site
from tests.up_site import REWARD_WEI, SHORT, Up, heartbeats, open_heartbeat, spying, tinyren

ATTEMPTS = 30
BOARDS = {"qemu_mps2_an385": "Cortex-M3", "qemu_mps2_an500": "Cortex-M7", "qemu_virt_rv32": "RV32IMAC"}
HEX = {"id": "0x[0-9a-fA-F]{40}", "root": "0x[0-9a-f]{64}", "tx": "0x[0-9a-f]{64}"}


def by_id(result):
    return {row["id"]: row for row in result["devices"]}


def on_chain(folder):
    """(contracts of the site, its chain) while it does not run; to be closed."""
    opened = chain.open_embedded(folder / "chain.sqlite")
    return settlement.Settlement(opened, settlement.Contracts(**site_file.read(folder).contracts)), opened


def evidence_of(folder):
    """{(id, boot, sequence): count} over all epochs, and in file order strictly rising per device."""
    counts, last = Counter(), {}
    for epoch in range(1, 1 + len(list((folder / "evidence").glob("*.windows.cborseq")))):
        for _, identity, beacon, boot, sequence, _ in heartbeats(folder, epoch):
            assert (boot, sequence) > last.get(identity, (0, 0))
            assert int.from_bytes(beacon[:4], "big") == epoch
            last[identity] = boot, sequence
            counts[identity, boot, sequence] += 1
    return counts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("a site, with a comma") / "site"


@pytest.fixture(scope="module")
def fresh(folder):
    """A first run to one settled epoch; other programs may have the default port."""
    return Up(folder, "--epochs", "1", *SHORT).finish()[1]


@pytest.fixture(scope="module")
def disturbed(folder, fresh):
    """A second run: strangers' messages, kill -9 of helpers, then Ctrl-C in the middle of an epoch."""
    site, seen = Up(folder), SimpleNamespace()
    site.wait_line("devices are ready")
    seen.second = tinyren("up", "--site", folder)
    with spying(folder) as spy:
        spy.wait("ack", 3)
        before = Counter(site.state()["rejected"])
        seen.sent, forge, seen.expected = send_noise(spy)
        for _ in range(ATTEMPTS):
            seen.sent |= send_in_time(spy, forge, seen.sent)
            seen.rejected = Counter(site.state()["rejected"]) - before
            if not seen.expected - seen.rejected:
                break
    family = site.family()
    seen.names = sorted(family)
    for number, name in enumerate(("mosquitto", "oracle.service2", "qemu-system-riscv32"), 1):
        next(process for key, process in family.items() if key.replace("gateway.", "").startswith(name)).kill()
        site.wait_line("started again", number)
    before = {row["id"]: row["heartbeats"] for row in site.state()["devices"]}
    # A board's UART is not told that the broker is gone: the agent finds out by the missing answer to its next ping.
    site.wait_state(lambda state: all(row["heartbeats"] > before[row["id"]] for row in state["devices"]))
    seen.after = max(row["epoch"] for row in site.state()["epochs"]) + 1
    wanted = seen.after, "settled"
    site.wait_state(lambda state: any(wanted == (row["epoch"], row["state"]) for row in state["epochs"]))
    site.wait_state(lambda state: any(0 < row["windows_open"] < 5 for row in state["epochs"] if row["state"] == "open"))
    seen.code, seen.result = site.end(signal.SIGINT)
    return seen


@pytest.fixture(scope="module")
def killed(folder, disturbed):
    """A third run, killed in the middle of an epoch while a spy records what is acknowledged; then a fourth."""
    site, seen = Up(folder), SimpleNamespace()
    site.wait_line("devices are ready")
    with spying(folder) as spy:
        seen.acked = {(bytes.fromhex(device), *cbor2.loads(frame)) for device, frame in spy.wait("ack", 6)}
        seen.code, seen.result = site.end(signal.SIGKILL)
    last = Up(folder, "--epochs", "2")
    seen.last_code, seen.last = last.finish()
    return seen


def send_noise(spy):
    """Publish one message for each reason to reject, as devices that are there and some that are not."""
    beacon = spy.beacon()
    since = len(spy.of("heartbeat"))
    spy.wait("heartbeat", 3, since)
    (board, frame), (other, other_frame) = list(dict(spy.of("heartbeat")[since:]).items())[:2]
    identity, stale, boot, sequence = open_heartbeat(frame)
    stale = stale[:6] + bytes(8)
    stranger = ingest_site.Signer(7)
    model = cbor2.loads(cbor2.loads(frame).value[2])[-65537][2]

    def forged(beacon, sequence):
        return wire.sign_heartbeat(identity, stranger.sign, beacon, boot, sequence, model, 1, bytes(16), 23)

    def payload(claims):
        return stranger.signed(claims)

    good = {10: beacon, -65537: [1, 1, model, 1, bytes(16), 23]}
    loose = cbor2.dumps(good, canonical=True).replace(b"\x0a\x4e", b"\x18\x0a\x4e", 1)  # the label 10 in two bytes
    cases = [
        (board, forged(stale, sequence + 5), "stale_beacon"),
        (board, other_frame, "wrong_device"),
        (board, os.urandom(1 << 20), "too_large"),
        (board, os.urandom(100), "malformed"),
        (stranger.id.hex(), payload(loose), "not_deterministic"),
        (stranger.id.hex(), payload({10: beacon}), "missing_claim"),
        (stranger.id.hex(), payload({**good, 11: 1}), "unknown_claim"),
        (stranger.id.hex(), payload(good), "unknown_device"),
    ]
    for device, text, _ in cases:
        spy.publish(device, "heartbeat", text)
    expected = Counter(reason for _, _, reason in cases) + Counter(["bad_signature", "replay"])
    sent = {text for _, text, _ in cases if text != other_frame}
    return sent, lambda beacon: (board, forged(beacon, sequence + 1_000)), expected


def send_in_time(spy, forge, sent):
    """Publish what is only rejected for its reason while a window is open: a forged answer to it, and a replayed one.

    Returns:
        the forged frame, in a set; a busy machine may be too late with it, and then the reason is stale_beacon.
    """
    device, _ = spy.wait("ack", 1, len(spy.of("ack")))[-1]
    frames = reversed(spy.of("heartbeat"))
    spy.publish(device, "heartbeat", next(text for who, text in frames if who == device and text not in sent))
    board, bad = forge(spy.beacon())
    spy.publish(board, "heartbeat", bad)
    spy.wait("ack", 3, len(spy.of("ack")))
    return {bad}


def test_the_result_has_the_fields_of_the_interface_and_no_others(fresh, folder):
    assert set(fresh) == {"site", "devices", "epochs", "claims", "rejected", "stores", "timings_s"}
    assert fresh["site"] == str(folder) and fresh["rejected"] == {}
    assert {row["board"]: row["core"] for row in fresh["devices"]} == BOARDS
    for row in fresh["devices"]:
        wanted = "id ren board core firmware model deed slot heartbeats first_heartbeat_s offline"
        assert set(row) == set(wanted.split())
        assert re.fullmatch(HEX["id"], row["id"]) and row["ren"].startswith("0xai_") and row["model"].startswith("baf")
        assert [type(row[name]) for name in ("firmware", "deed", "slot", "heartbeats")] == [str, int, int, int]
        assert 0 < row["first_heartbeat_s"] < fresh["timings_s"]["total"]
    assert sorted((row["deed"], row["slot"]) for row in fresh["devices"]) == [(1, 1), (1, 2), (2, 1)]
    (epoch,) = fresh["epochs"]
    wanted = "epoch windows availability root tx signers minted_wei units frauds"
    assert set(epoch) == set(wanted.split()) and epoch["frauds"] == []
    assert (epoch["epoch"], epoch["windows"], set(epoch["availability"])) == (1, 5, set(by_id(fresh)))
    assert all(re.fullmatch(HEX[name], epoch[name]) for name in ("root", "tx"))
    oracles = site_file.read(folder).oracles
    assert len(set(epoch["signers"])) == len(epoch["signers"]) >= 2 and set(epoch["signers"]) <= set(oracles)
    for claim in fresh["claims"]:
        assert set(claim) == {"deed", "job", "owner", "amount_wei", "tx"} and re.fullmatch(HEX["tx"], claim["tx"])
    timings = [fresh["timings_s"][name] for name in ("setup", "boot", "first_heartbeat", "first_root", "total")]
    assert set(fresh["timings_s"]) == {"setup", "boot", "first_heartbeat", "first_root", "total"}
    assert timings == sorted(timings) and all(type(value) is float for value in timings)


def test_what_is_minted_and_claimed_is_the_formula_of_the_availability(fresh):
    (epoch,) = fresh["epochs"]
    deeds = {number: [row["id"] for row in fresh["devices"] if row["deed"] == number] for number in (1, 2)}
    slots = {1: 4, 2: 1}
    wanted = {
        number: REWARD_WEI * sum(epoch["availability"][device] for device in devices) // (255 * slots[number])
        for number, devices in deeds.items()
    }
    assert {claim["deed"]: int(claim["amount_wei"]) for claim in fresh["claims"]} == wanted
    assert int(epoch["minted_wei"]) == sum(wanted.values())
    assert len({claim["owner"] for claim in fresh["claims"]}) == 2


def test_the_availability_is_what_the_evidence_says_to_anyone(fresh, folder):
    (epoch,) = fresh["epochs"]
    windows = Counter("0x" + identity.hex() for _, identity, *_ in heartbeats(folder, 1))
    found = {device.lower(): share for device, share in epoch["availability"].items()}
    assert found == {device: 255 * windows[device] // 5 for device in found} and max(found.values()) > 0
    assert {row["id"].lower(): row["heartbeats"] for row in fresh["devices"]} == windows


def test_the_second_scorer_agrees_and_notices_a_changed_byte(fresh, folder):
    assert tinyren("verify", folder, "--epoch", 1).returncode == 0
    path = folder / "evidence" / "epoch-1.cborseq"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert tinyren("verify", folder, "--epoch", 1).returncode == 8
    path.write_bytes(whole)
    assert tinyren("verify", folder, "--epoch", 99).returncode == 5


def test_a_second_up_on_the_same_site_is_refused(disturbed, folder):
    assert disturbed.second.returncode == 3
    assert "another process runs this site" in disturbed.second.stderr.splitlines()[-1]


def test_a_site_has_the_processes_it_says_and_ctrl_c_leaves_none(disturbed):
    assert len(disturbed.names) == 1 + 3 + 3 and disturbed.code == 0  # `end` has seen them gone


def test_bad_messages_are_counted_by_reason_and_not_stored(disturbed, folder):
    assert not disturbed.expected - disturbed.rejected
    files = [path.read_bytes() for path in (folder / "evidence").glob("*.cborseq")]
    assert not [frame for frame in disturbed.sent for text in files if frame in text]


def test_epochs_settle_after_broker_oracle_and_board_were_killed(disturbed, folder):
    epoch = next(row for row in disturbed.result["epochs"] if row["epoch"] == disturbed.after)
    assert len(epoch["availability"]) == 3 and min(epoch["availability"].values()) > 0
    assert tinyren("verify", folder, "--epoch", disturbed.after).returncode == 0


def test_a_resumed_site_keeps_its_devices_and_goes_on(fresh, disturbed, killed, folder):
    for result in (disturbed.result, killed.last):
        kept = ("id", "ren", "board", "deed", "slot")
        assert [[row[name] for name in kept] for row in result["devices"]] == [
            [row[name] for name in kept] for row in fresh["devices"]
        ]
        assert [row["epoch"] for row in result["epochs"]] == list(range(1, len(result["epochs"]) + 1))
        assert result["epochs"][:1] == fresh["epochs"] and result["claims"][:2] == fresh["claims"]
    boots = {}
    for identity, boot, _ in evidence_of(folder):
        boots.setdefault(identity, set()).add(boot)
    assert all(len(found) >= 4 for found in boots.values()) and len(boots) == 3


def test_what_was_acknowledged_before_kill_9_is_in_the_evidence_exactly_once(killed, folder):
    assert (killed.code, killed.result, killed.last_code) == (-signal.SIGKILL, None, 0)
    counts = evidence_of(folder)
    assert {counts[heartbeat] for heartbeat in killed.acked} == {1} and set(counts.values()) == {1}


def test_nothing_was_claimed_twice_and_all_of_it_is_on_the_chain(killed, folder):
    result = killed.last
    assert len({claim["tx"] for claim in result["claims"]}) == len(result["claims"])
    contracts, opened = on_chain(folder)
    try:
        for deed in (1, 2):
            paid = sum(int(claim["amount_wei"]) for claim in result["claims"] if claim["deed"] == deed)
            assert paid == contracts.claimed(deed)
        minted = sum(int(epoch["minted_wei"]) for epoch in result["epochs"])
        assert abs(minted - contracts.minted()) == 0
        assert sum(contracts.balance(owner) for owner in {claim["owner"] for claim in result["claims"]}) == minted
    finally:
        opened.close()
    for epoch in result["epochs"]:
        assert tinyren("verify", folder, "--epoch", epoch["epoch"]).returncode == 0


def test_a_port_that_is_asked_for_and_taken_ends_the_command_before_it_makes_anything(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = tinyren("up", "--site", tmp_path / "site", "--port", port)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (6, 1) and str(port) in ended.stderr
    assert not (tmp_path / "site").exists()
