"""`tinyren r1fs` as a user types it: what is printed, what is left on the disk, and how it ends when it cannot."""

import json
import os

import pytest
from coincurve import PrivateKey

from gateway import cli, curve
from gateway.errors import Exit
from tests.r1fs_site import ABSENT, HELLO, VECTORS, content, joined, packs, served, store_in, tree

pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter")  # ipfshttpclient 0.7.0 says it to urllib3
VERBS = {
    "add": ["FILE"], "get": [ABSENT, "-o", "OUT"], "ls": [], "pin": [ABSENT], "unpin": [ABSENT], "gc": [], "verify": [],
    "car export": [ABSENT, "-o", "OUT"], "car import": ["FILE"],
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder that commands run in; `FILE` is a file in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_bytes(HELLO)
    return tmp_path


@pytest.fixture
def r1fs(here, capsys):
    """Run a command in this process: (exit code, its JSON or None, lines on stderr)."""

    def run(*arguments, as_json=True):
        try:
            code = cli.main(["r1fs", *map(str, arguments), *(["--json"] if as_json else [])])
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out and as_json else None, said.err.splitlines()

    return run


@pytest.mark.parametrize("vector", VECTORS["files"][:5], ids=lambda vector: str(vector["bytes"]))
def test_a_plain_file_prints_its_cid_bytes_and_blocks_and_comes_back(vector, r1fs, here):
    (here / "in").write_bytes(content(vector["bytes"]))
    assert r1fs("add", "in", "--plain") == (0, vector, [])
    assert r1fs("get", vector["cid"], "-o", "out")[0] == 0
    assert (here / "out").read_bytes() == content(vector["bytes"])
    assert not (here / "site" / "keys").exists()


def test_a_plain_folder_comes_back_by_the_cid_that_others_give_it(r1fs, here):
    for path, size in VECTORS["folder"]["files"]:
        (here / "in" / path).parent.mkdir(parents=True, exist_ok=True)
        (here / "in" / path).write_bytes(content(size))
    code, added, _ = r1fs("add", "in", "--plain")
    assert (code, added["cid"], added["blocks"]) == (0, VECTORS["folder"]["cid"], VECTORS["folder"]["blocks"])
    assert [entry["name"] for entry in r1fs("ls", added["cid"])[1]["entries"]] == ["B.bin", "a.bin", "b"]
    r1fs("get", added["cid"], "-o", "out")
    assert tree(here / "out") == tree(here / "in")


@pytest.mark.parametrize("what", ["FILE", "folder"])
def test_what_is_added_is_sealed_to_the_readers_and_the_site_itself(what, r1fs, here):
    (here / "folder" / "inner").mkdir(parents=True)
    (here / "folder" / "inner" / "name").write_bytes(HELLO)
    friend = PrivateKey(bytes(31) + b"\x07")
    (here / "friend.key").write_text(friend.to_hex().rjust(64, "0"))
    (here / "stranger.key").write_text("08" * 32)
    reader = curve.ratio1_address(friend.public_key.format())

    code, added, _ = r1fs("add", what, "--reader", reader, "--reader", friend.public_key.format().hex())

    assert code == 0 and added["readers"] == 2 and added["bytes"] > len(HELLO)
    written = joined(path.read_bytes() for path in packs(here / "site" / "r1fs"))
    assert HELLO not in written and b"inner" not in written
    for options in ([], ["--key", "friend.key"]):
        assert r1fs("get", added["cid"], "-o", "out", *options)[0] == 0
        if what == "FILE":
            assert (here / "out").read_bytes() == HELLO
        else:
            assert tree(here / "out") == tree(here / "folder")
            (here / "out").rename(here / f"out{len(options)}")
    code, _, lines = r1fs("get", added["cid"], "-o", "no", "--key", "stranger.key")
    assert code == Exit.REFUSED and "not one of its readers" in lines[-1] and not (here / "no").exists()
    assert r1fs("get", added["cid"], "-o", "sealed", "--sealed")[0] == 0
    assert (here / "sealed").stat().st_size == added["bytes"]
    assert oct((here / "site" / "keys" / "gateway.key").stat().st_mode)[-3:] == "600"


def test_pins_hold_what_a_collection_would_take(r1fs):
    cid = r1fs("add", "FILE", "--plain")[1]["cid"]
    assert [pin["cid"] for pin in r1fs("ls")[1]["pins"]] == [cid]
    assert r1fs("gc")[1] == {"blocks": 0, "bytes": 0}
    assert r1fs("unpin", cid)[1] == {"unpinned": cid} and r1fs("unpin", cid)[0] == Exit.NOTHING_TO_DO
    assert r1fs("gc")[1]["blocks"] == 1 and r1fs("get", cid, "-o", "out")[0] == Exit.FAILED


def test_verify_names_what_is_damaged_and_a_peer_heals_it(r1fs, here):
    (here / "in").write_bytes(content(1_000_003))
    cid = r1fs("add", "in", "--plain")[1]["cid"]
    assert r1fs("verify")[1] == {"blocks": 5, "bytes": 1_000_211, "healed": [], "damaged": [], "incomplete": []}
    with packs(here / "site" / "r1fs")[0].open("r+b") as file:
        file.seek(300_000)
        file.write(b"rotten")
    code, found, _ = r1fs("verify")
    assert (code, len(found["damaged"])) == (Exit.FAILED, 1)

    with store_in(here / "other") as other:
        other.add([content(1_000_003)])
        with served(other) as url:
            code, found, _ = r1fs("verify", "--peer", url)
            assert (code, len(found["healed"])) == (0, 1) and r1fs("verify")[0] == 0
            assert r1fs("pin", cid, "--store", "third", "--peer", url)[0] == 0
    assert r1fs("get", cid, "-o", "out", "--store", "third")[0] == 0
    assert (here / "out").read_bytes() == content(1_000_003)


def test_a_graph_travels_as_a_car(r1fs, here):
    cid = r1fs("add", "FILE", "--plain")[1]["cid"]
    code, written, _ = r1fs("car", "export", cid, "-o", "out.car")
    assert code == 0 and written["bytes"] == (here / "out.car").stat().st_size
    assert r1fs("car", "import", "out.car", "--store", "other") == (0, {"roots": [cid]}, [])
    (here / "cut.car").write_bytes((here / "out.car").read_bytes()[:-1])
    code, _, lines = r1fs("car", "import", "cut.car", "--store", "third")
    assert code == Exit.REFUSED and "cut within a section" in lines[-1]
    assert r1fs("ls", "--store", "third")[1] == {"pins": []}


def test_the_same_commands_drive_an_ipfs_node(r1fs, here):
    with store_in(here / "node") as store, served(store) as url:
        cid = r1fs("add", "FILE", "--plain", "--ipfs", url)[1]["cid"]
        assert joined(store.read(cid)) == HELLO and not (here / "site").exists()
        assert r1fs("get", cid, "-o", "out", "--ipfs", url)[0] == 0 and (here / "out").read_bytes() == HELLO
        assert cid in {pin["cid"] for pin in r1fs("ls", "--ipfs", url)[1]["pins"]}
        assert r1fs("unpin", cid, "--ipfs", url)[0] == r1fs("gc", "--ipfs", url)[0] == 0
        assert not store.has(cid)


@pytest.mark.parametrize("verb", ["add", "get", "ls", "pin", "unpin", "gc", "car export", "car import"])
def test_a_node_that_is_away_is_one_line(verb, r1fs):
    code, _, lines = r1fs(*verb.split(), *VERBS[verb], "--ipfs", "http://127.0.0.1:1")
    assert code in (Exit.FAILED, Exit.REFUSED) and lines[-1].startswith("tinyren: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "nothing"], Exit.USAGE, "nothing: got nothing, wanted a file or folder"),
        (["add", "FILE", "--reader", "02ff"], 2, "got '02ff', wanted 66 hex digits"),
        (["add", "FILE", "--reader", "0xai_zzz"], 2, "wanted 66 hex digits of a compressed public key, or 0xai_"),
        (["add", "FILE", "--reader", "05" * 33], Exit.REFUSED, "no public key of secp256k1"),
        (["add", "FILE", "--plain", "--reader", "02" * 33], Exit.USAGE, "--reader: got one beside --plain"),
        (["get", "nonsense", "-o", "out"], Exit.REFUSED, "cid text: got 'nonsense'"),
        (["get", ABSENT, "-o", "out"], Exit.FAILED, "is not here"),
        (["get", ABSENT, "-o", "out", "--peer", "nowhere"], Exit.REFUSED, "peer: got 'nowhere'"),
        (["get", ABSENT, "-o", "out", "--max-bytes", "0"], 2, "--max-bytes: got '0'"),
        (["ls", "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"], Exit.REFUSED, "wanted a folder"),
        (["car", "import", "FILE"], Exit.REFUSED, "CAR"),
        (["car", "import", "nothing"], Exit.FAILED, "nothing: No such file"),
        (["verify", "--ipfs", "http://127.0.0.1:1"], Exit.USAGE, "--ipfs"),
        (["gc", "--ipfs", "x", "--peer", "http://h"], Exit.USAGE, "--peer"),
        (["gc", "--store", "FILE"], Exit.FAILED, "FILE: "),
        (["serve", "--host", "192.0.2.1"], Exit.PORT, "port 8421 of 192.0.2.1"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line_and_a_code(arguments, code, message, r1fs, here):
    got, printed, lines = r1fs(*arguments)
    assert (got, printed) == (code, None) and message in lines[-1]
    assert {path.name for path in here.iterdir()} <= {"FILE", "site"}
    assert (here / "FILE").read_bytes() == HELLO


def test_a_target_that_is_in_the_way_is_not_touched(r1fs, here):
    (here / "folder").mkdir()
    (here / "folder" / "mine").write_bytes(b"mine")
    file, folder = r1fs("add", "FILE", "--plain")[1]["cid"], r1fs("add", "folder", "--plain")[1]["cid"]
    (here / "out.part").write_bytes(b"mine")
    assert r1fs("get", file, "-o", "out")[0] == 0 and (here / "out.part").read_bytes() == b"mine"
    for cid, target in ((file, "folder"), (folder, "folder"), (folder, "FILE")):
        code, _, lines = r1fs("get", cid, "-o", target)
        assert code == Exit.REFUSED and "is there already" in lines[-1]
    assert tree(here / "folder") == {"mine": b"mine"} and (here / "FILE").read_bytes() == HELLO
    assert not list(here.glob(".*.part"))


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_a_folder_with_what_cannot_be_kept_is_refused(kind, r1fs, here):
    (here / "folder").mkdir()
    os.mkfifo(here / "folder" / "x") if kind == "fifo" else (here / "folder" / "x").symlink_to("/etc/passwd")
    for options in ([], ["--plain"]):
        code, _, lines = r1fs("add", "folder", *options)
        assert code == Exit.REFUSED and "link or special file" in lines[-1]
    assert r1fs("ls")[1] == {"pins": []}


def test_without_json_a_person_gets_lines(here, capsys):
    assert cli.main(["r1fs", "add", "FILE", "--plain"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"bytes: {len(HELLO)}", "blocks: 1"]
    assert cli.main(["r1fs", "ls", "--store", "other"]) == 0
    assert capsys.readouterr().out == "nothing\n"
