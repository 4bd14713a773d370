"""`tinyren job apply --dry-run` of a container or module: says what its gateway would, and no gateway is asked."""

import json
import tomllib
from contextlib import closing

import pytest

from gateway import cli
from gateway.deeploy.documents import Job, encode_job
from gateway.deeploy.reconcile import Rollout
from gateway.deeploy.requests import Refused
from gateway.deeploy.targets import Target
from gateway.errors import Exit
from gateway.storage.cid import DAG_CBOR
from gateway.storage.embedded import Embedded
from tests.deeploy_site import open_gateway

pytest.importorskip("wasmtime", reason="wasmtime is not installed")

from tests.workload_site import ESCROW, image, module, tar_of

ABSENT = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
BOX = f'name = "box"\n[container]\nimage = "{ABSENT}"\n'


@pytest.fixture
def site(tmp_path):
    """A folder with an R1FS and no gateway."""
    (tmp_path / "site").mkdir()
    with open_store(tmp_path) as store:
        store.add([b"something"])
    return tmp_path / "site"


def open_store(folder):
    return closing(Embedded(folder / "site" / "r1fs"))


@pytest.fixture
def rehearse(tmp_path, capsys, monkeypatch):
    """rehearse(text of a job.toml) -> (exit code, JSON or None, stderr), on a machine that has podman."""
    monkeypatch.setattr("gateway.workloads.podman.shutil.which", lambda name: name)

    def rehearse(text):
        (tmp_path / "job.toml").write_text(text)
        capsys.readouterr()
        site = ["--site", str(tmp_path / "site")]
        code = cli.main(["job", "apply", str(tmp_path / "job.toml"), "--dry-run", "--json", *site])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out else None, said.err

    return rehearse


WRONG = {
    "an image that is none": ('image = "../etc"', "container.image: got '../etc'"),
    "a short digest": (f'image = "{ABSENT}"\ndigest = "sha256:12"', "container.digest: got 'sha256:12'"),
    "paid work by name alone": (f'image = "alpine"\nescrow = "{ESCROW}"', "container.digest: got none"),
    "what is not allowed": (f'image = "{ABSENT}"\nprivileged = true', "container.privileged: got an unknown field"),
    "a limit beyond its bounds": (f'image = "{ABSENT}"\nlimits = {{ pids = 0 }}', "limits.pids: got 0"),
    "a network that is none": (f'image = "{ABSENT}"\nlimits = {{ network = "host" }}', "limits.network: got 'host'"),
    "a volume in the system": (f'image = "{ABSENT}"\nvolumes = [{{ path = "/etc", cid = "{ABSENT}" }}]', "volumes[0]"),
}


@pytest.mark.parametrize("table, message", WRONG.values(), ids=WRONG)
def test_a_dry_run_without_a_site_refuses_in_the_words_of_the_gateway(tmp_path, rehearse, table, message):
    text = f'name = "box"\n[container]\n{table}\n'
    code, plan, said = rehearse(text)
    assert code == Exit.USAGE and plan is None and message in said and len(said.splitlines()) == 1
    workload = {"container": tomllib.loads(text)["container"]}
    with open_gateway(tmp_path / "gateway") as gateway:
        cid = gateway.r1fs.put_block(encode_job(Job("box", Target(), Rollout(), (), None, workload)), DAG_CBOR)
        before = gateway.kept()
        with pytest.raises(Refused) as refused:
            gateway.deeploy.request(gateway.request(cid))
        assert str(refused.value) in said and gateway.kept() == before


NAMES = {"canary-x": "wanted a name that does not begin with canary-", "box-": "none of them - at an end"}


@pytest.mark.parametrize("name, message", NAMES.items())
def test_a_name_that_no_run_can_have_is_refused_before_it_is_applied(rehearse, name, message):
    code, _, said = rehearse(BOX.replace("box", name))
    assert code == Exit.USAGE and message in said


@pytest.mark.parametrize("more", ["[rollout]\nhalt_percent = 5", "[target]\npercent = 50"])
def test_who_and_in_which_steps_cannot_be_said_of_what_runs_here(rehearse, more):
    code, _, said = rehearse(BOX + more)
    assert code == Exit.USAGE and "it runs here" in said


def test_a_good_one_without_a_site_says_what_it_would_wait_for_and_makes_nothing(tmp_path, rehearse):
    code, plan, said = rehearse(BOX + f'escrow = "{ESCROW}"')
    assert (code, said, plan["name"], plan["workload"]["container"]["image"]) == (Exit.OK, "", "box", ABSENT)
    paid, absent = plan["notes"]
    assert paid.endswith("memory, cpu, pids, network, root, time, log") and "`tinyren r1fs add FILE --plain`" in absent
    assert not (tmp_path / "site").exists()


def test_an_image_that_is_pulled_and_a_module_that_is_there_need_nothing_else(tmp_path, site, rehearse):
    code, plan, _ = rehearse('name = "box"\n[container]\nimage = "alpine"\n')
    assert code == Exit.OK and plan["notes"] == ["the image alpine is pulled by podman when the job begins"]
    with open_store(tmp_path) as store:
        cid = store.add([module("well")]).cid
    before = sorted(path.stat().st_size for path in site.rglob("*") if path.is_file())
    code, plan, _ = rehearse(f'name = "hello"\n[wasm]\nmodule = "{cid}"\n')
    assert code == Exit.OK and plan["notes"] == []
    assert sorted(path.stat().st_size for path in site.rglob("*") if path.is_file()) == before


def test_where_podman_is_missing_that_is_told_of_containers_and_not_of_modules(rehearse, monkeypatch):
    monkeypatch.setattr("gateway.workloads.podman.shutil.which", lambda name: None)
    assert "apt-get install podman runc" in rehearse(BOX)[1]["notes"][0]
    (absent,) = rehearse(BOX.replace("container", "wasm").replace("image", "module"))[1]["notes"]
    assert ABSENT in absent


def test_an_image_that_is_there_is_looked_at(tmp_path, site, rehearse):
    entries, found = image([b"a layer"])
    with open_store(tmp_path) as store:
        good, bad = store.add([tar_of(entries)]).cid, store.add([tar_of(entries[:1])]).cid
    text = f'name = "box"\n[container]\nimage = "{good}"\ndigest = "{found}"\n'
    assert rehearse(text)[0] == Exit.OK
    code, plan, said = rehearse(text.replace(found, "sha256:" + "ab" * 32))
    assert code == Exit.REFUSED and plan is None and f"got {found}, wanted sha256:abab" in said
    code, _, said = rehearse(f'name = "box"\n[container]\nimage = "{bad}"\n')
    assert code == Exit.REFUSED and "wanted what `podman save` writes" in said


def test_content_that_a_module_cannot_have_is_refused(tmp_path, site, rehearse):
    with open_store(tmp_path) as store:
        file, good = store.add([b"no module"]).cid, store.add([module("well")]).cid
    code, _, said = rehearse(f'name = "hello"\n[wasm]\nmodule = "{file}"\n')
    assert code == Exit.REFUSED and "wanted a WebAssembly module" in said
    volume = f'volumes = [{{ path = "/in", cid = "{file}" }}]'
    code, _, said = rehearse(f'name = "hello"\n[wasm]\nmodule = "{good}"\n{volume}\n')
    assert code == Exit.REFUSED and "volume /in: got a file, wanted a folder" in said
