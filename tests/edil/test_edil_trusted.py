"""`tinyren edil trusted` and `python -m device.agent.plain`: a gateway-trusted round, marked so from end to end."""

import json
import subprocess
import sys
import time

import pytest
from coincurve import PrivateKey

from device.agent.port import FileMemory
from device.agent.store import Store
from gateway.errors import Exit
from tests.edil.test_edil_commands import run
from tests.edil_scene import make_device
from tests.edil_site import serve_gateway

pytest.importorskip("tenseal", reason="TenSEAL is not installed: pip install tinyren[edil]")

DEVICES = [make_device(number) for number in range(2)]
VALUES = [[1000, -1000, 7], [999, -1, -8]]
MODE = ["--confidentiality", "gateway-trusted"]


class Site:
    def __init__(self, folder, gateway):
        self.folder, self.gateway = folder, gateway
        self.ahead_ms = 0

    def announce(self, capsys, *more):
        options = ["--key", self.folder / "key", "--name", "test", "--values", 3, "--bound", 1000, "--k-min", 2]
        return run(capsys, "edil", "trusted", "announce", *options, "--gateway", self.gateway.url, *(more or MODE))

    def give(self, number, digest, values=None, more=MODE):
        """Run the program of a device, whose store is written as its agent does -> (exit code, stdout, stderr)."""
        store, file = self.folder / f"store-{number}", self.folder / "values.json"
        if not store.exists():
            memory = FileMemory(store)
            Store(memory).open(lambda: DEVICES[number].secret.secret)
            memory.close()
        file.write_text(json.dumps(VALUES[number] if values is None else values))
        named = ["--store", store, "--round", digest, "--values", file, "--gateway", self.gateway.url]
        command = [sys.executable, "-m", "device.agent.plain", *map(str, named), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout, done.stderr

    def end(self):
        """Let the deadline pass."""
        self.ahead_ms = 3_600_000
        self.gateway.aggregation.turn()


@pytest.fixture
def site(capsys, tmp_path):
    made = Site(tmp_path, None)
    with serve_gateway(
        tmp_path / "gateway", DEVICES, clock=lambda: time.time_ns() // 1_000_000 + made.ahead_ms
    ) as made.gateway:
        code, told, _ = run(capsys, "edil", "trusted", "keygen", "-o", tmp_path / "key")
        assert code == 0 and told["confidentiality"] == "gateway-trusted"
        yield made


def test_the_sum_is_exact_and_every_output_says_that_the_gateway_read_the_values(capsys, site):
    code, told, _ = site.announce(capsys)
    digest = told["digest"]
    assert (code, told["confidentiality"]) == (0, "gateway-trusted")
    for number, device in enumerate(DEVICES):
        code, out, _ = site.give(number, digest)
        assert code == 0 and json.loads(out)["confidentiality"] == "gateway-trusted"
        assert json.loads(out)["id"].lower() == "0x" + device.id.hex()
    named = ["--gateway", site.gateway.url]
    assert run(capsys, "edil", "trusted", "open", digest, "--key", site.folder / "key", *named)[0] == Exit.REFUSED
    site.end()
    code, told, error = run(capsys, "edil", "trusted", "watch", digest, *named)
    assert (code, told["confidentiality"], len(told["devices"])) == (0, "gateway-trusted", 2) and "closed" in error
    code, told, _ = run(capsys, "edil", "trusted", "open", digest, "--key", site.folder / "key", *named)
    assert (code, told["confidentiality"]) == (0, "gateway-trusted")
    assert told["values"] == [sum(column) for column in zip(*VALUES, strict=True)]
    assert told["devices"] == sorted("0x" + device.id.hex() for device in DEVICES)
    assert site.gateway.aggregation.rounds() == []  # none of it is EDIL's


def test_a_device_counts_once_within_its_bound_and_its_store_stays_as_it_is(capsys, site):
    digest = site.announce(capsys)[1]["digest"]
    for values, reason in (([1, 2], "bounds"), ([1001, 0, 0], "bounds"), ("x", "wanted a JSON array"), ([2**31], "32")):
        code, out, error = site.give(0, digest, values)
        assert (code, out) == (1, "") and reason in error
    store = site.folder / "store-0"
    content = store.read_bytes()
    assert site.give(0, digest)[0] == 0 and store.read_bytes() == content
    code, _, error = site.give(0, digest)
    assert code == 1 and "twice" in error
    assert site.give(0, "ab" * 32)[0] == 1
    (site.folder / "store-1").write_bytes(bytes(1024))
    code, _, error = site.give(1, digest)
    assert code == 1 and "got no key" in error
    (row,) = site.gateway.aggregation.trusted.rounds()
    assert row["devices"] == [DEVICES[0].id.hex()]
    site.end()
    named = ["--gateway", site.gateway.url]
    assert run(capsys, "edil", "trusted", "watch", digest, *named)[0] == Exit.FAILED


@pytest.mark.parametrize("more", [["--name", "n"], ["--confidentiality", "encrypted-on-device"]])
def test_without_the_mode_in_words_nothing_is_opened_and_nothing_sent(capsys, site, more):
    assert site.announce(capsys, *more)[0] == Exit.USAGE
    assert site.give(0, "ab" * 32, more=[])[0] == 2
    assert site.gateway.aggregation.trusted.rounds() == []


def test_a_key_is_made_once_and_another_one_opens_nothing(capsys, site):
    key, other = site.folder / "key", site.folder / "other"
    content = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(capsys, "edil", "trusted", "keygen", "-o", key)[0] == Exit.REFUSED and key.read_bytes() == content
    digest = site.announce(capsys)[1]["digest"]
    assert [site.give(number, digest)[0] for number in (0, 1)] == [0, 0]
    site.end()
    named = ["--gateway", site.gateway.url]
    for foreign in (b"", b"noise", PrivateKey(b"\1" * 32).secret):
        other.write_bytes(foreign)
        assert run(capsys, "edil", "trusted", "open", digest, "--key", other, *named)[0] == Exit.TRUST
        assert run(capsys, "edil", "trusted", "announce", "--key", other, "--name", "n", "--values", 1, "--bound", 1,
                   *MODE, *named)[0] == Exit.USAGE  # fmt: skip
    assert run(capsys, "edil", "trusted", "watch", "ab" * 32, *named)[0] == Exit.REFUSED
    assert len(site.gateway.aggregation.trusted.rounds()) == 1
