"""Bytes from outside: nodes, structures, archives, names, bombs. Wrong ones are Refused or a ValueError, never more."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.storage import cid, dag, dag_cbor, unixfs
from gateway.storage.car import read_car, write_car
from gateway.storage.cid import DAG_CBOR, DAG_PB, RAW, cid_of, encode_text
from gateway.storage.dag_json import from_json, to_json
from gateway.storage.errors import Missing, Refused
from gateway.storage.folders import Limits, save
from gateway.storage.varint import encode_varint, read_varint
from tests.r1fs_site import HELLO, VECTORS, content, facts, joined, store_in

LEAF = b"x"
LEAF_LINK = unixfs.Link(cid_of(LEAF), 1)
NOTHING = unixfs.Link(cid_of(b""), 0)  # many of these would be work without bytes, so without a limit
CAR = bytes.fromhex(VECTORS["car"]["hex"])
STRUCTURES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.text(max_size=9) | st.binary(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False) | st.builds(dag_cbor.Link, st.just(encode_text(cid_of(LEAF)))),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
quick = settings(max_examples=300, derandomize=True, deadline=None)


@pytest.fixture
def store(tmp_path):
    with store_in(tmp_path / "store") as opened:
        yield opened


def folder_node(*entries):
    """dag-pb of a folder with any names in any order, as somebody else may write it."""
    return unixfs._node([unixfs.Link(*entry) for entry in entries], b"\x08\x01")


@pytest.mark.parametrize(("foreign", "text"), VECTORS["texts"])
def test_other_texts_of_a_cid_become_the_one(foreign, text):
    assert cid.normalise(foreign) == cid.normalise(text) == text
    for wrong in (foreign[:-1], foreign + "1", foreign.replace("m", "0"), "m" + text[1:], text + "a"):
        with pytest.raises(ValueError, match="cid"):
            cid.normalise(wrong)


@quick
@given(st.text(max_size=62) | st.text("z123456789bafkreiQm", max_size=62))
def test_a_text_is_a_cid_or_a_value_error(text):
    try:
        assert encode_text(cid.decode_any(cid.normalise(text))) == cid.normalise(text)
    except ValueError:
        pass


@quick
@given(st.integers(0, (1 << 63) - 1), st.binary(max_size=12))
def test_a_varint_is_read_back_and_only_in_its_shortest_form(value, rest):
    data = encode_varint(value)
    assert read_varint(data + rest, 0) == (value, len(data))
    try:
        found, end = read_varint(rest, 0)
        assert encode_varint(found) == rest[:end]
    except ValueError:
        pass


@pytest.mark.parametrize("data", [b"", b"\x80", b"\x80\0", b"\x81\x80\0", b"\xff" * 9 + b"\1"])
def test_a_varint_that_is_cut_long_or_padded_is_none(data):
    with pytest.raises(ValueError, match="varint"):
        read_varint(data, 0)


@quick
@given(STRUCTURES)
def test_a_structure_is_read_back_from_dag_cbor_and_from_json(value):
    assert dag_cbor.decode_node(dag_cbor.encode_node(value)) == value
    if "/" not in str(value):
        assert from_json(to_json(value)) == value


@quick
@given(st.binary(max_size=40), STRUCTURES, st.integers(0, 999), st.integers(0, 255))
def test_dag_cbor_has_one_encoding_a_value(data, value, at, byte):
    altered = bytearray(dag_cbor.encode_node(value))
    altered[at % len(altered)] = byte
    for candidate in (data, bytes(altered)):
        try:
            assert dag_cbor.encode_node(dag_cbor.decode_node(candidate)) == candidate
        except ValueError:
            pass


NOT_DAG_CBOR = """
    f97e00 fb7ff8000000000000 fa3f800000 1800 9f00ff a2616101616102 a1013161 a262626201616102 d81c81d81d00 0000 7f6161ff
    c249010000000000000000 d82a4100 d82a58250001551220 d82b00 61ff 5b7fffffffffffffff 9b7fffffffffffffff f7 e0 d9010080
"""


@pytest.mark.parametrize("data", ["", *NOT_DAG_CBOR.split(), "81" * 100 + "00", "81" * 70000])
def test_cbor_that_is_not_dag_cbor_is_refused(data):
    with pytest.raises(ValueError, match="dag-cbor"):
        dag_cbor.decode_node(bytes.fromhex(data))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1 << 64, {1: 2}, {b"a": 1}, object(), bytes(1 << 18)])
def test_a_value_that_dag_cbor_has_not_is_refused(value):
    with pytest.raises(ValueError, match="wanted"):
        dag_cbor.encode_node([value] * 4)


@quick
@given(st.binary(max_size=60), st.integers(0, 999), st.integers(0, 255))
def test_a_dag_pb_block_is_a_node_or_refused(data, at, byte):
    for whole in (unixfs.encode_file([LEAF_LINK] * 2, [1, 1]), folder_node((cid_of(LEAF), 1, "a"))):
        altered = bytearray(whole)
        altered[at % len(altered)] = byte
        for block in (data, bytes(altered)):
            try:
                node = unixfs.decode(block)
                assert 0 not in node.sizes and all(cid.is_cid(link.cid) for link in node.links)
            except ValueError:
                pass


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "../x", "/etc/passwd", "n\0l", "x" * 256])
def test_a_folder_with_a_name_that_leads_out_is_refused_and_writes_nothing(name, store, tmp_path):
    cid_ = store.put_block(folder_node((cid_of(LEAF), 1, name)), DAG_PB)
    store.put_block(LEAF)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Refused, match="name in a folder"):
        save(store, cid_, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(Refused, match="path"):
        store.add_tree([(name if name != "a/b" else "a//b", [LEAF])])


@pytest.mark.parametrize("names", [("a", "a"), ("b", "a")])
def test_a_folder_with_names_twice_or_out_of_order_is_refused(names, store):
    cid_ = store.put_block(folder_node(*((cid_of(LEAF), 1, name) for name in names)), DAG_PB)
    with pytest.raises(Refused, match="bytewise order"):
        store.entries(cid_)


@pytest.mark.parametrize(
    "tree", [[("a", [b"1"]), ("a", [b"2"])], [("a", [b"1"]), ("a/b", [b"2"])], [("a/b", []), ("a", [])]]
)
def test_a_tree_with_two_of_a_name_is_refused(tree, store):
    with pytest.raises(Refused):
        store.add_tree(tree)
    assert store.pins() == []


@pytest.mark.parametrize(
    ("links", "sizes"),
    [([LEAF_LINK], [0]), ([NOTHING], [0]), ([LEAF_LINK] * 2, [1]), ([LEAF_LINK], [2]), ([LEAF_LINK], [1 << 40])],
)
def test_a_file_whose_nodes_lie_about_sizes_or_hold_nothing_is_refused(links, sizes, store):
    store.put_block(LEAF)
    store.put_block(b"")
    root = store.put_block(unixfs.encode_file(links, sizes), DAG_PB)
    with pytest.raises(Refused):
        joined(store.read(root))


def test_a_bomb_of_links_ends_at_the_limit_and_leaves_nothing(store, tmp_path):
    size, link = 1, unixfs.Link(cid_of(store.block(store.put_block(LEAF))), 1)
    for _ in range(12):
        node = unixfs.encode_file([link] * 32, [size] * 32)
        size, link = size * 32, unixfs.Link(cid_of(node, DAG_PB), 1)
        store.put_block(node, DAG_PB)
    store.pin(encode_text(link.cid))  # 2**60 bytes in 13 blocks

    with pytest.raises(Refused, match="more than 10000 bytes"):
        save(store, encode_text(link.cid), tmp_path / "out", limits=Limits(10_000, 10))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_bomb_of_folders_ends_at_the_limit_and_leaves_nothing(store, tmp_path):
    link = cid_of(store.block(store.put_block(LEAF)))
    for _ in range(12):
        node = folder_node(*((link, 1, f"{number:02}") for number in range(32)))
        link = cid_of(node, DAG_PB)
        store.put_block(node, DAG_PB)

    with pytest.raises(Refused, match="more than 100 entries"):
        save(store, encode_text(link), tmp_path / "out", limits=Limits(10_000, 100))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("wrap", [
    lambda link: (unixfs.encode_file([unixfs.Link(link, 1)], [1]), DAG_PB),
    lambda link: (folder_node((link, 1, "a")), DAG_PB),
    lambda link: (dag_cbor.encode_node([dag_cbor.Link(encode_text(link))]), DAG_CBOR),
], ids=["file", "folder", "structure"])  # fmt: skip
def test_a_graph_that_is_too_deep_is_refused(wrap, store, tmp_path):
    link = cid_of(store.block(store.put_block(LEAF)))
    for _ in range(dag.MAX_DEPTH + 2):
        block, codec = wrap(link)
        link = cid_of(block, codec)
        store.put_block(block, codec)
    before = facts(store)
    with pytest.raises(Refused, match="deeper"):
        store.pin(encode_text(link))
    with pytest.raises(Refused):
        save(store, encode_text(link), tmp_path / "out")
    assert facts(store) == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize("end", range(len(CAR)))
def test_a_car_that_is_cut_pins_nothing(end, store):
    with pytest.raises(Refused):
        store.import_car(io.BytesIO(CAR[:end]))
    assert store.pins() == []


@pytest.mark.parametrize(
    ("roots", "message"),
    [([], "no roots"), ([cid_of(b"elsewhere")], "not whole"), ([cid_of(HELLO)] * 257, "257 roots")],
)
def test_a_car_whose_roots_are_not_in_it_is_refused(roots, message, store):
    kept = store.add([content(10)])
    header = dag_cbor.encode_node({"roots": [dag_cbor.Link(encode_text(root)) for root in roots], "version": 1})
    section = cid_of(LEAF) + LEAF
    archive = encode_varint(len(header)) + header + encode_varint(len(section)) + section
    with pytest.raises(Refused, match=message):
        store.import_car(io.BytesIO(archive))
    assert [pin.cid for pin in store.pins()] == [kept.cid]


@quick
@given(st.integers(0, len(CAR) - 1), st.integers(0, 255), st.binary(max_size=30))
def test_a_car_that_is_altered_is_refused_or_is_another_car(at, byte, data):
    altered = bytearray(CAR)
    altered[at] = byte
    for archive in (bytes(altered), data, CAR + data):
        try:
            roots, blocks = read_car(io.BytesIO(archive))
            assert all(cid_of(block, cid.codec_of(name)) == name for name, block in blocks)
        except Refused:
            pass


def test_a_car_of_a_graph_with_a_hole_is_no_car(store):
    node = store.put_block(unixfs.encode_file([LEAF_LINK] * 2, [1, 1]), DAG_PB)
    with pytest.raises(Missing):
        joined(store.export_car(node))
    assert joined(write_car({cid_of(LEAF, RAW): LEAF}.get, [cid_of(LEAF)])).endswith(LEAF)
