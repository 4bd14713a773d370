"""A model in R1FS: under the name that its devices sign, whole, or not at all."""

import json
from pathlib import Path

import pytest

import models
from device.native.shared import Model
from gateway.cli import main
from gateway.commands.publish import publish_model
from gateway.errors import CommandError
from gateway.storage.cid import MAX_BLOCK_BYTES, encode_text
from gateway.storage.dag_cbor import Link, decode_node
from tests.r1fs_site import store_in

HOST = Path(models.__file__).parent / "host"


def test_a_model_is_had_by_the_cid_that_its_artifact_names_and_its_devices_sign(tmp_path, capsys):
    assert main(["model", "publish", str(HOST / "encoder.tflite"), "--store", str(tmp_path / "r1fs"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)

    with store_in(tmp_path / "r1fs") as store:
        assert [pin.cid for pin in store.pins()] == [said["cid"]]
        assert decode_node(store.block(said["cid"])) == {
            "model": Link(said["model"]),
            "artifact": Link(said["artifact"]),
        }
        store.collect()
        assert store.block(said["model"]) == (HOST / "encoder.tflite").read_bytes()
        assert store.block(said["artifact"]) == (HOST / "encoder.ren").read_bytes()
        assert said["model"] == encode_text(Model(store.block(said["artifact"])).cid)


def test_published_twice_it_is_kept_once(tmp_path):
    with store_in(tmp_path) as store:
        first, second = (publish_model(store, b"model", b"artifact") for _ in range(2))
        assert first == second and len(store.pins()) == 1


@pytest.mark.parametrize("which", ["model", "artifact"])
def test_what_is_larger_than_a_block_is_refused_and_nothing_is_kept(tmp_path, which):
    sizes = {"model": 1, "artifact": 1, which: MAX_BLOCK_BYTES + 1}
    with store_in(tmp_path) as store:
        with pytest.raises(CommandError, match=f"{which}: got {MAX_BLOCK_BYTES + 1} bytes, wanted at most"):
            publish_model(store, bytes(sizes["model"]), bytes(sizes["artifact"]))
        assert store.pins() == [] and store.collect().cids == []


def test_what_devices_could_not_run_is_not_published(tmp_path, capsys):
    (tmp_path / "noise.tflite").write_bytes(b"noise" * 100)
    assert main(["model", "publish", str(tmp_path / "noise.tflite"), "--store", str(tmp_path / "r1fs")]) == 2
    assert "wanted b'TFL3'" in capsys.readouterr().err and not (tmp_path / "r1fs").exists()
