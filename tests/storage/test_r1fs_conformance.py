"""Every store behind R1FS passes the same tests: the embedded one, it behind /api/v0, and js-ipfs where it is there."""

import pytest

from gateway.benchmarks.jsipfs import jsipfs, why_not
from gateway.storage import dag_cbor
from gateway.storage.cid import DAG_CBOR, decode_any, digest_of
from gateway.storage.errors import Missing, Refused
from gateway.storage.folders import save
from gateway.storage.kubo import Kubo
from tests.r1fs_site import ABSENT, HELLO, VECTORS, content, joined, pieces, served, store_in, tree

pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter")  # ipfshttpclient 0.7.0 says it to urllib3
NEEDS_JSIPFS = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module", params=["embedded", "api", pytest.param("js-ipfs", marks=NEEDS_JSIPFS)])
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("r1fs")
    if request.param == "js-ipfs":
        with jsipfs(folder) as address:
            yield Kubo(address, timeout_s=2)
        return
    with store_in(folder) as embedded:
        if request.param == "embedded":
            yield embedded
            return
        with served(embedded) as url:
            yield Kubo(url)


@pytest.fixture
def folder(tmp_path):
    """The folder of the vectors, and an empty one in it."""
    root = tmp_path / "folder"
    for path, size in VECTORS["folder"]["files"]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content(size))
    return root


@pytest.mark.parametrize("vector", VECTORS["files"], ids=lambda vector: str(vector["bytes"]))
def test_a_file_gets_the_cid_that_other_implementations_give_it(store, vector):
    data = content(vector["bytes"])

    added = store.add(pieces(data, 262_144))

    assert added._asdict() == vector
    assert joined(store.read(added.cid)) == data


def test_a_folder_gets_the_cid_that_other_implementations_give_it(store, folder, tmp_path):
    added = store.add_folder(folder)

    assert (added.cid, added.blocks) == (VECTORS["folder"]["cid"], VECTORS["folder"]["blocks"])
    assert added.bytes == sum(size for _, size in VECTORS["folder"]["files"])
    assert [entry.name for entry in store.entries(added.cid)] == ["B.bin", "a.bin", "b"]
    save(store, added.cid, tmp_path / "out")
    assert tree(tmp_path / "out") == tree(folder)


def test_an_empty_folder_and_an_empty_folder_in_a_folder_are_kept(store, tmp_path):
    (tmp_path / "outer" / "inner").mkdir(parents=True)

    added = store.add_folder(tmp_path / "outer")

    (entry,) = store.entries(added.cid)
    assert entry.name == "inner" and store.entries(entry.cid) == []


def test_chunks_of_any_size_make_the_same_file(store):
    data = content(1_000_003)
    cids = {store.add(pieces(data, size)).cid for size in (1009, 262_144, 262_145, 999_999)}
    assert len(cids) == 1


def test_a_file_has_no_entries_and_a_folder_no_bytes(store, folder):
    file, whole = store.add([HELLO]), store.add_folder(folder)

    assert store.entries(file.cid) is None
    with pytest.raises(Refused):
        joined(store.read(whole.cid))


@pytest.mark.parametrize("vector", VECTORS["dag_cbor"], ids=lambda vector: vector["name"])
def test_a_structure_is_a_block_with_the_cid_that_others_give_it(store, vector):
    data = bytes.fromhex(vector["hex"])

    cid = store.put_block(data, DAG_CBOR)

    assert cid == vector["cid"] and store.block(cid) == data


def test_everything_below_a_pin_outlives_a_collection_and_nothing_else_does(store):
    leaf = store.put_block(content(301))
    stray = store.put_block(content(302))
    node = store.put_block(dag_cbor.encode_node({"leaf": dag_cbor.Link(leaf)}), DAG_CBOR)
    store.pin(node)

    freed = store.collect()

    assert digest_of(decode_any(stray)) in {digest_of(decode_any(cid)) for cid in freed.cids}
    assert store.block(leaf) == content(301) and store.has(node) and not store.has(stray)


def test_what_is_added_is_pinned_until_it_is_unpinned(store):
    added = store.add([content(700_001)])
    assert added.cid in {pin.cid for pin in store.pins()}
    store.collect()
    assert joined(store.read(added.cid)) == content(700_001)

    assert store.unpin(added.cid) is True
    assert store.unpin(added.cid) is False
    assert added.cid not in {pin.cid for pin in store.pins()}
    store.collect()
    assert not store.has(added.cid)


def test_a_graph_goes_into_another_store_as_a_car(store, folder, tmp_path):
    added = store.add_folder(folder)
    archive = tmp_path / "folder.car"
    archive.write_bytes(joined(store.export_car(added.cid)))
    with store_in(tmp_path / "other") as other:
        with archive.open("rb") as file:
            assert other.import_car(file) == [added.cid]
        assert joined(other.export_car(added.cid)) == archive.read_bytes()
        assert other.check().incomplete == []


def test_a_car_of_others_is_taken_and_given_back_byte_for_byte(store, tmp_path):
    vector = VECTORS["car"]
    archive = tmp_path / "other.car"
    archive.write_bytes(bytes.fromhex(vector["hex"]))

    with archive.open("rb") as file:
        assert store.import_car(file) == [vector["root"]]

    assert store.block(vector["leaf"]) == b"a leaf"
    assert joined(store.export_car(vector["root"])) == bytes.fromhex(vector["hex"])
    assert vector["root"] in {pin.cid for pin in store.pins()}


@pytest.mark.parametrize("ask", ["read", "block", "entries", "pin", "export_car"])
def test_what_nobody_has_is_missing(store, ask):
    before = store.pins()
    with pytest.raises(Missing):
        joined(getattr(store, ask)(ABSENT) or ())
    assert store.pins() == before and not store.has(ABSENT)


@pytest.mark.parametrize("text", ["", "x", ABSENT[:-1], ABSENT.upper(), "../" + ABSENT, "Qm" + "1" * 44])
def test_what_is_no_cid_is_refused_by_every_call(store, text):
    before = store.pins()
    for ask in (store.read, store.block, store.entries, store.pin, store.unpin, store.has, store.export_car):
        with pytest.raises(Refused):
            joined(ask(text) or ())
    assert store.pins() == before
