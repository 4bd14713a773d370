"""/api/v0 as the real ipfshttpclient drives it, beyond what gateway/storage/kubo.py needs."""

import io
import json

import ipfshttpclient
import pytest

from gateway.storage import dag_cbor
from gateway.storage.cid import DAG_CBOR
from tests.r1fs_site import ABSENT, HELLO, VECTORS, content, joined, served, store_in, tree

pytestmark = pytest.mark.filterwarnings("ignore:The 'strict' parameter")  # ipfshttpclient 0.7.0 says it to urllib3
ERROR = ipfshttpclient.exceptions.ErrorResponse
LEAF = {"/": VECTORS["car"]["leaf"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with store_in(tmp_path_factory.mktemp("api")) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(store):
    with served(store) as url, ipfshttpclient.connect(f"/ip4/127.0.0.1/tcp/{url.rpartition(':')[2]}/http") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "top" / "in" / "empty").mkdir(parents=True)
    (tmp_path / "top" / "in" / "ü 1%20.txt").write_bytes(HELLO)
    (tmp_path / "top" / "large").write_bytes(content(1_000_003))
    return tmp_path / "top"


def test_the_client_takes_it_for_a_node_that_it_knows(client):
    assert client.version()["Version"] == "0.7.0" and client.id()["AgentVersion"] == "tinyren"


def test_a_folder_goes_in_with_its_rows_and_comes_out_as_a_tar(client, folder, tmp_path):
    rows = client.add(str(folder), recursive=True)
    hashes = {row["Name"]: row["Hash"] for row in rows}
    assert list(hashes)[-1] == "top" and {"top/in", "top/in/empty", "top/large"} < set(hashes)

    client.get(hashes["top"], str(tmp_path / "out"))
    assert tree(tmp_path / "out" / hashes["top"]) == tree(folder)
    client.get(hashes["top/large"], str(tmp_path / "out"))
    assert (tmp_path / "out" / hashes["top/large"]).read_bytes() == content(1_000_003)

    links = client.ls(hashes["top"])["Objects"][0]["Links"]
    assert [(link["Name"], link["Hash"], link["Type"]) for link in links] == [
        ("in", hashes["top/in"], 1), ("large", hashes["top/large"], 2)]  # fmt: skip
    assert client.cat(f"{hashes['top']}/in/ü 1%20.txt") == HELLO
    assert client.cat(f"/ipfs/{hashes['top']}/large") == content(1_000_003)
    with pytest.raises(ERROR, match="no 'nothing' in"):
        client.cat(f"{hashes['top']}/nothing")


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 10), (262_140, 10), (999_999, 100), (2_000_000, 5), (5, 0), (7, None)]
)
def test_a_part_of_a_file_is_given(offset, length, client):
    data = content(1_000_003)
    cid = client.add(io.BytesIO(data))["Hash"]
    end = None if length is None else offset + length
    assert client.cat(cid, offset=offset, length=length) == data[offset:end]


def test_structures_go_in_and_out_as_json(client, store):
    value = {"name": "m", "parts": [LEAF, LEAF], "raw": {"/": {"bytes": "AP8"}}, "size": 6}
    cid = client.dag.put(io.BytesIO(json.dumps(value).encode()))["Cid"]["/"]
    assert client.dag.get(cid).as_json() == value
    link = dag_cbor.Link(LEAF["/"])
    node = {"name": "m", "parts": [link, link], "raw": b"\x00\xff", "size": 6}
    assert cid == store.put_block(dag_cbor.encode_node(node), DAG_CBOR)


@pytest.mark.parametrize(
    "text", ["", "{", '{"/": 5}', '{"/": "x"}', '{"/": {"bytes": "*"}}', "1e999", "[NaN]", "[" * 9999]
)
def test_json_that_is_no_structure_is_an_error(text, client):
    with pytest.raises(ERROR):
        client.dag.put(io.BytesIO(text.encode()))


def test_a_car_goes_in_and_out(client):
    vector = VECTORS["car"]
    assert client.dag.imprt(io.BytesIO(bytes.fromhex(vector["hex"])))["Root"]["Cid"]["/"] == vector["root"]
    assert client.dag.export(vector["root"]) == bytes.fromhex(vector["hex"])
    with pytest.raises(ERROR, match="cut within"):
        client.dag.imprt(io.BytesIO(bytes.fromhex(vector["hex"])[:-1]))


def test_pins_are_listed_added_and_removed(client):
    cid = client.add(io.BytesIO(content(77)))["Hash"]
    assert client.pin.ls(cid)["Keys"].as_json() == {cid: {"Type": "recursive"}}
    assert client.pin.rm(cid)["Pins"] == [cid]
    with pytest.raises(ERROR, match="is not pinned"):
        client.pin.ls(cid)
    assert client.pin.add(cid)["Pins"] == [cid]
    client.pin.rm(cid)
    assert {"/": cid} in [row["Key"].as_json() for row in client.repo.gc()]
    with pytest.raises(ERROR, match="is not here"):
        client.block.stat(cid)


@pytest.mark.parametrize("options", [
    {"chunker": "size-1024"}, {"chunker": "rabin"}, {"cid_version": 0}, {"trickle": True}, {"only_hash": True},
    {"pin": False}, {"wrap_with_directory": True}, {"opts": {"hash": "sha3-512"}},
])  # fmt: skip
def test_an_option_that_would_mean_another_cid_is_refused(options, client, store):
    before = store.pins()
    with pytest.raises(ERROR, match="add: got"):
        client.add(io.BytesIO(HELLO), **options)
    assert store.pins() == before


@pytest.mark.parametrize("names", [["../out"], ["/etc/x", "y"], ["top/../../x"], ["a/b", "c/d"], ["a/" * 70 + "x"]])
def test_uploaded_names_that_lead_out_are_an_error_and_pin_nothing(names, client, store):
    before = store.pins()
    boundary = "x" * 20
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\nx\r\n"
        for name in [*names, "top/second"]
    ]
    body = "".join(parts) + f"--{boundary}--\r\n"
    with pytest.raises(ERROR):
        client._client.request(
            "/add", data=iter([body.encode()]), headers={"Content-Type": f"multipart/form-data; boundary={boundary}"}
        )
    assert store.pins() == before


@pytest.mark.parametrize("body", [b"", b"--x\r\n\r\n", b"garbage", b"--x--\r\n"])
@pytest.mark.parametrize("call", ["/add", "/block/put", "/dag/put", "/dag/import"])
def test_a_body_that_is_no_upload_is_an_error(call, body, client):
    with pytest.raises(ERROR):
        client._client.request(call, data=iter([body]), headers={"Content-Type": "multipart/form-data; boundary=x"})


@pytest.mark.parametrize(
    "call", ["cat", "get", "ls", "block/get", "block/stat", "dag/get", "dag/export", "pin/add", "pin/rm"]
)
@pytest.mark.parametrize("cid", [ABSENT, "nonsense", "", "../x"])
def test_what_is_not_here_or_no_cid_is_an_error_of_every_call(call, cid, client):
    with pytest.raises(ERROR):
        client._client.request(f"/{call}", (cid,))


def test_streams_are_streams(client):
    with client.cat(client.add(io.BytesIO(content(1_000_003)))["Hash"], stream=True) as chunks:
        assert joined(chunks) == content(1_000_003)
