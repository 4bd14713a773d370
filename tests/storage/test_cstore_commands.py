"""`tinyren cstore`: what each verb prints, how it ends, and that what is refused makes and changes nothing."""

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.errors import Exit
from tests.cstore_site import OWNER, STRANGER, WRITER, address, running_cluster

ROOT = Path(__file__).parents[2]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that is the working directory, with the keys of a site."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "site" / "keys").mkdir(parents=True)
    for name, key in (("gateway", OWNER), ("writer", WRITER), ("stranger", STRANGER)):
        (tmp_path / "site" / "keys" / f"{name}.key").write_text(key.to_hex().rjust(64, "0") + "\n")
    return tmp_path / "site"


@pytest.fixture
def run(capfdbinary, site):
    def run(*words):
        """(exit code, stdout, lines on stderr) of one command."""
        try:
            code = main(["cstore", *map(str, words)])
        except SystemExit as ended:
            code = ended.code
        said = capfdbinary.readouterr()
        return code, said.out, said.err.decode().splitlines()

    return run


@pytest.fixture
def defined(run):
    writer = f"0x{address(WRITER).hex()}"
    assert run("define", "jobs", "--writer", writer)[::2] == (Exit.OK, [])
    return run


def fields(answer):
    code, out, err = answer
    assert (code, err) == (Exit.OK, [])
    return json.loads(out)


def test_a_key_from_put_to_delete(defined):
    assert defined("put", "jobs", "k", "one") == (Exit.OK, b"jobs 'k': revision 1\n", [])
    assert defined("get", "jobs", "k") == (Exit.OK, b"one", [])
    assert fields(defined("cas", "jobs", "k", 1, "ü", "--json"))["value"] == "ü"
    found = fields(defined("get", "jobs", "k", "--json"))
    assert {name: found[name] for name in ("bucket", "key", "field", "revision", "ttl_ms", "owner")} == {
        "bucket": "jobs",
        "key": "k",
        "field": "",
        "revision": 2,
        "ttl_ms": 0,
        "owner": f"0x{address(OWNER).hex()}",
    }
    assert fields(defined("delete", "jobs", "k", "--revision", 2, "--json"))["deleted"] is True
    for act in ("get", "delete"):
        code, out, err = defined(act, "jobs", "k")
        assert (code, out, err) == (Exit.NOTHING_TO_DO, b"", ["tinyren: jobs: 'k' is absent"])


def test_bytes_come_from_a_file_or_stdin_and_leave_as_they_came(defined, site, monkeypatch):
    (site / "value").write_bytes(b"\xff\x00\n")
    assert defined("put", "jobs", "k", "--file", site / "value")[0] == Exit.OK
    assert defined("get", "jobs", "k") == (Exit.OK, b"\xff\x00\n", [])
    assert fields(defined("get", "jobs", "k", "--json"))["value_hex"] == "ff000a"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert defined("put", "jobs", "k", "--file", "-")[0] == Exit.OK
    assert defined("get", "jobs", "k")[1] == b"piped"


def test_fields_lifetimes_pages_and_buckets(defined):
    for field in ("a", "b"):
        defined("put", "jobs", "h", field, "--field", field)
    assert fields(defined("put", "jobs", "t", "x", "--ttl", 1000, "--json"))["ttl_ms"] == 1_000_000
    assert defined("get", "jobs", "h", "--field", "b")[1] == b"b"
    names = [(row["key"], row["field"]) for row in fields(defined("ls", "jobs", "--json"))]
    assert names == [("h", "a"), ("h", "b"), ("t", "")]
    page = fields(defined("ls", "jobs", "--json", "--after", "h", "--after-field", "a", "--limit", 1))
    assert [(row["key"], row["field"]) for row in page] == [("h", "b")]
    assert [row["key"] for row in fields(defined("ls", "jobs", "--prefix", "t", "--json"))] == ["t"]
    lists = fields(defined("ls", "--json"))
    assert [(row["bucket"], row["readers"], row["writers"]) for row in lists] == [
        ("buckets", "everyone", []),
        ("jobs", [], [f"0x{address(WRITER).hex()}"]),
    ]
    assert b"h b  revision 1, 1 bytes, by 0x" in defined("ls", "jobs")[1]


def test_a_watch_prints_a_line_for_each_record_and_ends_after_count(defined):
    defined("put", "jobs", "a", "1")
    defined("put", "jobs", "b", "2")
    code, out, err = defined("watch", "jobs", "--count", 2, "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert (code, err, [row["key"] for row in told]) == (Exit.OK, [], ["a", "b"])
    writing = threading.Thread(target=main, args=(["cstore", "put", "jobs", "c", "3"],))
    writing.start()
    out = defined("watch", "jobs", "--since", told[-1]["sequence"], "--count", 1)[1]
    writing.join()
    assert b"  c  revision 1" in out


def test_a_backup_goes_into_r1fs_or_a_file_and_comes_back_on_an_empty_machine(defined, site):
    defined("put", "jobs", "k", "value")
    defined("delete", "jobs", "k")
    defined("put", "jobs", "l", "kept")
    kept = fields(defined("backup", "--json"))
    assert fields(defined("backup", "--file", site / "b", "--json")) == {
        "file": str(site / "b"),
        "bytes": (site / "b").stat().st_size,
    }
    code, out, err = defined("restore", "bafkrei" + "a" * 52, "--store", site / "none.sqlite")
    assert (code, out, len(err)) == (Exit.FAILED, b"", 1) and not (site / "none.sqlite").exists()
    for source in (kept["cid"], site / "b"):
        copy = site / "copy.sqlite"
        assert fields(defined("restore", source, "--store", copy, "--json"))["records"] == 4
        assert defined("get", "jobs", "l", "--store", copy)[1] == b"kept"
        assert defined("get", "jobs", "k", "--store", copy)[0] == Exit.NOTHING_TO_DO
        assert defined("backup", "--file", site / "again", "--store", copy)[0] == Exit.OK
        assert (site / "again").read_bytes() == (site / "b").read_bytes()
        code, out, err = defined("restore", source, "--store", copy)
        assert (code, out, len(err)) == (Exit.REFUSED, b"", 1) and "not empty" in err[0]
        assert defined("restore", source, "--store", copy, "--force")[0] == Exit.OK
        for path in site.glob("copy.sqlite*"):
            path.unlink()


def test_another_key_writes_in_its_own_name(defined, site):
    writer = ["--key", site / "keys" / "writer.key"]
    assert fields(defined("put", "jobs", "k", "v", *writer, "--json"))["owner"] == f"0x{address(WRITER).hex()}"
    assert defined("get", "jobs", "k", *writer)[0] == Exit.REFUSED


STRANGE = ["--key", "site/keys/stranger.key"]
REFUSED = {
    "another revision": (["cas", "jobs", "k", "5", "x"], Exit.REFUSED, "revision: got 5, the key is at 1"),
    "a stranger": (["put", "jobs", "k", "x", *STRANGE], Exit.REFUSED, "not on its list of writers"),
    "a stranger who reads": (["get", "jobs", "k", *STRANGE], Exit.REFUSED, "not on its list of readers"),
    "no such bucket": (["put", "nope", "k", "x"], Exit.REFUSED, "'nope', wanted one that is defined"),
    "a key of 64 KB": (["put", "jobs", "k" * 65536, "x"], Exit.REFUSED, "key: got 65536 bytes"),
    "an empty key": (["put", "jobs", "", "x"], Exit.REFUSED, "key: got 0 bytes"),
    "a key of noise": (["put", "jobs", "\udcff", "x"], Exit.REFUSED, "not UTF-8"),
    "a huge value": (["put", "jobs", "k", "x" * 65537], Exit.REFUSED, "value: got 65537 bytes"),
    "no value": (["put", "jobs", "k"], Exit.USAGE, "wanted VALUE or --file"),
    "two values": (["put", "jobs", "k", "x", "--file", "f"], Exit.USAGE, "wanted VALUE or --file"),
    "a file that is not there": (["put", "jobs", "k", "--file", "none"], Exit.FAILED, "none: No such file"),
    "a lifetime below 0": (["put", "jobs", "k", "x", "--ttl", "-1"], Exit.USAGE, "--ttl: got -1.0"),
    "no lifetime": (["put", "jobs", "k", "x", "--ttl", "nan"], Exit.USAGE, "--ttl: got nan"),
    "a page of none": (["ls", "jobs", "--limit", "0"], Exit.REFUSED, "limit: got 0"),
    "an address": (["define", "b", "--reader", "0x12"], Exit.USAGE, "address: got '0x12'"),
    "a Ratio1 address": (["define", "b", "--reader", "0xai_x"], Exit.USAGE, "address: got '0xai_x'"),
    "another owner": (["ls", "--owner", "0x" + "00" * 20], Exit.TRUST, "owner: got a store of 0x"),
    "a key that is none": (["ls", "--key", "site/site.toml"], Exit.USAGE, "there is no key"),
    "a damaged backup": (["restore", "site/site.sqlite"], Exit.USAGE, "wanted a file that is there, or a CID"),
    "no R1FS": (["restore", "bafkrei" + "a" * 52], Exit.USAGE, "site/r1fs: there is no R1FS"),
    "a file that is no backup": (["restore", "site/keys/gateway.key", "--force"], Exit.TRUST, "snapshot: item: got"),
    "two stores": (["ls", "--store", "x", "--cstore", "nats://a"], Exit.USAGE, "--store: got one with --cstore"),
    "a password in the address": (["ls", "--cstore", "nats://u:pass@a"], Exit.REFUSED, "got a user in the address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line_and_changes_nothing(defined, site, case):
    words, code, message = REFUSED[case]
    defined("put", "jobs", "k", "one")
    before = fields(defined("ls", "jobs", "--json")), fields(defined("ls", "--json"))
    got, out, err = defined(*words)
    assert (got, out, len(err)) == (code, b"", 1) and err[0].startswith("tinyren: ") and message in err[0]
    assert (fields(defined("ls", "jobs", "--json")), fields(defined("ls", "--json"))) == before


@pytest.mark.parametrize(
    "words",
    [
        ["get", "jobs", "k"],
        ["put", "jobs", "k", "x"],
        ["ls"],
        ["backup"],
        ["define", "No"],
        ["define", "b", "--writer", "x"],
        ["define", "b", "--key", "none"],
        ["restore", "site/keys/gateway.key"],
        ["restore", "bafkrei" + "a" * 52],
    ],
)
def test_no_store_is_made_by_what_is_refused(run, site, words):
    code, out, err = run(*words)
    assert (code != Exit.OK, out, len(err)) == (True, b"", 1)
    assert sorted(path.name for path in site.iterdir()) == ["keys"]


def test_a_damaged_file_is_named_and_left_as_it_is(defined, site):
    for path in site.glob("cstore.sqlite-*"):
        path.unlink()
    (site / "cstore.sqlite").write_bytes(b"noise" * 2000)
    code, out, err = defined("get", "jobs", "k")
    assert (code, out) == (Exit.FAILED, b"") and "site/cstore.sqlite: file is not a database" in err[0]
    assert (site / "cstore.sqlite").read_bytes() == b"noise" * 2000


def test_a_cluster_is_used_by_its_address_and_said_to_be_a_demonstration(run, site, tmp_path):
    with running_cluster(tmp_path / "nats", nodes=1) as cluster:
        there = ["--cstore", f"{cluster.url}/x?replicas=1"]
        code, _, err = run("define", "jobs", *there)
        assert code == Exit.OK and any("for demonstration" in line for line in err)
        assert run("put", "jobs", "k", "v", *there)[0] == Exit.OK
        assert run("get", "jobs", "k", *there)[1] == b"v"
        code, _, err = run("ls", *there, "--key", site / "keys" / "writer.key")
        assert code == Exit.TRUST and "owner: got a store of 0x1a64" in err[-1]
        owner = ["--owner", f"0x{address(OWNER).hex()}"]
        assert run("ls", *there, *owner, "--key", site / "keys" / "writer.key")[0] == Exit.OK
