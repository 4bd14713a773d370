"""An image's archive is read before podman may: what leads out, is another image, or grows too large is refused."""

import gzip
import hashlib
import io
import json
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workloads.errors import Refused
from gateway.workloads.images import check_archive
from tests.workload_site import image, tar_of

LAYER = tar_of([("file", b"content")])
CONFIG = b'{"rootfs": {}}'
CONFIG_ID = f"sha256:{hashlib.sha256(CONFIG).hexdigest()}"
DOCKER = [("manifest.json", json.dumps([{"Config": "c.json", "Layers": ["l.tar"]}]).encode()), ("c.json", CONFIG)]


@pytest.fixture
def check(tmp_path):
    def run(data, *arguments):
        path = tmp_path / "image.tar"
        path.write_bytes(data)
        return check_archive(path, *arguments)

    return run


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def oci():
    return image([LAYER])[0]


def test_the_id_is_that_of_the_config_in_both_forms(check):
    entries, digest = image([LAYER])
    assert check(tar_of(entries)) == digest == check(tar_of(entries), digest)
    assert check(tar_of([*DOCKER, ("l.tar", LAYER)]), CONFIG_ID) == CONFIG_ID


def test_another_image_than_was_signed_is_refused(check):
    with pytest.raises(Refused, match=f"got {CONFIG_ID}, wanted sha256:00"):
        check(tar_of([*DOCKER, ("l.tar", LAYER)]), "sha256:" + "00" * 32)


@pytest.mark.parametrize(
    "entry",
    [
        ("../outside", b"x"),
        ("/etc/passwd", b"x"),
        ("a/../../b", b"x"),
        link("l", "/etc/passwd"),
        link("a/l", "../../etc"),
        link("hard", "c.json", tarfile.LNKTYPE),
        link("device", "", tarfile.CHRTYPE),
        link("pipe", "", tarfile.FIFOTYPE),
        ("c.json", b"again"),
        ("./c.json", b"again"),
    ],
)
def test_a_path_that_climbs_a_link_out_and_a_second_file_of_a_name_are_refused(check, entry):
    with pytest.raises(Refused, match="leads out|twice"):
        check(tar_of([*DOCKER, ("l.tar", LAYER), entry]))


def test_a_layer_that_unpacks_to_more_than_is_allowed_is_refused(check):
    bomb = gzip.compress(bytes(64 << 20))
    assert len(bomb) < 1 << 17
    for data in (bomb, gzip.compress(b"") * 3 + bomb):
        with pytest.raises(Refused, match="unpacks to more than 1048576 bytes"):
            check(tar_of([*DOCKER, ("l.tar", data)]), "", 1 << 20)
    assert check(tar_of([*DOCKER, ("l.tar", gzip.compress(LAYER))]), "", 1 << 20) == CONFIG_ID


def changed(name, data):
    return [(old, data if old == name else content) for old, content in oci()]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [("manifest.json", b"[]")],
        [("manifest.json", b'[{"Config": "c.json"}, {"Config": "c.json"}]'), ("c.json", CONFIG)],
        [("manifest.json", b'[{"Config": "absent"}]')],
        [("manifest.json", b'[{"Config": 7}]')],
        [("manifest.json", b"{}")],
        [("manifest.json", b"\xff")],
        [("manifest.json", b"[" * 100_000)],
        changed("index.json", b'{"manifests": []}'),
        changed("index.json", b'{"manifests": [{"digest": "sha512:00"}]}'),
        changed(oci()[-1][0], b"{}"),
        [("l.tar", b"\x28\xb5\x2f\xfd0000")],
    ],
)
def test_an_archive_without_one_whole_image_is_refused(check, entries):
    with pytest.raises(Refused, match="^image: "):
        check(tar_of(entries))


@pytest.mark.parametrize("data", [b"", b"no tar", gzip.compress(tar_of(DOCKER)), tar_of(DOCKER)[:700]])
def test_what_is_no_tar_is_refused(check, data):
    with pytest.raises(Refused, match="^image: "):
        check(data)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_or_is_what_it_was(tmp_path_factory, data):
    entries, digest = image([gzip.compress(LAYER)])
    whole = bytearray(tar_of(entries))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "image.tar"
    path.write_bytes(bytes(whole[: data.draw(st.integers(0, len(whole)))]) if data.draw(st.booleans()) else whole)
    try:
        found = check_archive(path)
    except Refused:
        return
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        config = archive.extractfile(f"blobs/sha256/{found[7:]}").read()
    assert found == f"sha256:{hashlib.sha256(config).hexdigest()}" == digest
