"""A job's table is read field by field: what is missing, unknown, negative or huge is refused by its name."""

import json
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.workloads.errors import Invalid
from gateway.workloads.limits import Limits
from gateway.workloads.restart import Restart
from gateway.workloads.workload import Health, Volume, check_job, parse

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
DIGEST = "sha256:" + "ab" * 32
ESCROW = "0x" + "5a" * 32
FULL = {
    "image": CID,
    "digest": DIGEST,
    "command": ["serve", "--port", "80"],
    "environment": {"A": "b"},
    "limits": {"memory_bytes": 16 << 20, "cpu_percent": 150, "pids": 8, "time_s": 60, "log_bytes": 8192},
    "health": {"http": "80/ready", "interval_s": 2, "timeout_s": 1, "retries": 4, "start_s": 5},
    "restart": {"policy": "always", "most": 9},
    "volumes": [{"path": "/model", "cid": CID}, {"path": "/out", "size_bytes": 65536, "publish": True}],
    "escrow": ESCROW,
}


def container(**fields):
    return {"container": {"image": CID, **fields}}


def test_every_field_is_read():
    workload = parse({"container": FULL})
    assert (workload.kind, workload.source, workload.digest, workload.escrow) == ("container", CID, DIGEST, ESCROW)
    assert workload.command == ("serve", "--port", "80") and workload.environment == {"A": "b"}
    assert workload.limits == Limits(16 << 20, 150, 8, 60, log_bytes=8192)
    assert workload.health == Health(http="80/ready", interval_s=2, timeout_s=1, retries=4, start_s=5)
    assert workload.restart == Restart("always", 9)
    assert workload.volumes == (Volume("/model", CID), Volume("/out", "", 65536, True))


def test_what_is_left_out_has_a_default_and_no_network():
    workload = parse({"wasm": {"module": CID}})
    assert workload.limits == Limits() and workload.limits.network == "none"
    assert workload.restart.policy == "on-failure" and workload.health is None and workload.escrow == ""


def test_a_workload_is_the_same_after_its_table_was_kept():
    workload = parse({"container": FULL})
    assert parse(json.loads(json.dumps(workload.table))) == workload


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({}, "workload"),
        ({"container": FULL, "wasm": {"module": CID}}, "workload"),
        ({"container": FULL, "other": 1}, "workload"),
        ({"container": []}, "container"),
        ({"container": {}}, "container.image"),
        ({"container": {"image": "../etc"}}, "container.image"),
        ({"wasm": {"module": "alpine"}}, "wasm.module"),
        ({"wasm": {"module": CID, "digest": DIGEST}}, "wasm.digest"),
        ({"wasm": {"module": CID, "health": {"tcp": 1}}}, "wasm.health"),
        ({"wasm": {"module": CID, "limits": {"pids": 3}}}, "limits.pids"),
        (container(privileged=True), "container.privileged"),
        (container(digest="sha256:12"), "container.digest"),
        (container(escrow="0x12"), "container.escrow"),
        ({"container": {"image": "alpine", "escrow": ESCROW}}, "container.digest"),
        (container(command="ls"), "container.command"),
        (container(command=["a\0b"]), "container.command"),
        (container(command=["a"] * 65), "container.command"),
        (container(environment={"A B": "c"}), "container.environment"),
        (container(environment={"A": 1}), "container.environment.A"),
        (container(limits={"memory_bytes": -1}), "limits.memory_bytes"),
        (container(limits={"memory_bytes": 1 << 80}), "limits.memory_bytes"),
        (container(limits={"memory_bytes": 1e9}), "limits.memory_bytes"),
        (container(limits={"pids": True}), "limits.pids"),
        (container(limits={"cpu_percent": 0}), "limits.cpu_percent"),
        (container(limits={"fuel": 5}), "limits.fuel"),
        (container(limits={"time_s": "60"}), "limits.time_s"),
        (container(limits={"network": "host"}), "limits.network"),
        (container(limits={"swap": 1}), "limits.swap"),
        (container(health={}), "health"),
        (container(health={"tcp": 1, "http": "80/"}), "health"),
        (container(health={"tcp": 65536}), "health.tcp"),
        (container(health={"http": "80"}), "health.http"),
        (container(health={"http": "99999/x"}), "health.http"),
        (container(health={"http": "80/x y\r\nHost: z"}), "health.http"),
        (container(health={"command": []}), "health"),
        (container(health={"tcp": 1, "retries": 0}), "health.retries"),
        (container(restart={"policy": "sometimes"}), "restart.policy"),
        (container(restart={"most": -1}), "restart.most"),
        (container(volumes={}), "volumes"),
        (container(volumes=[{"path": "/a"}]), "volumes[0]"),
        (container(volumes=[{"path": "/a", "cid": CID, "size_bytes": 4096}]), "volumes[0]"),
        (container(volumes=[{"path": "/a/../b", "cid": CID}]), "volumes[0].path"),
        (container(volumes=[{"path": "a", "cid": CID}]), "volumes[0].path"),
        (container(volumes=[{"path": "/", "cid": CID}]), "volumes[0].path"),
        (container(volumes=[{"path": "/proc/self", "cid": CID}]), "volumes[0].path"),
        (container(volumes=[{"path": "/a", "cid": "no"}]), "volumes[0].cid"),
        (container(volumes=[{"path": "/a", "size_bytes": 1}]), "volumes[0].size_bytes"),
        (container(volumes=[{"path": "/a", "size_bytes": 1 << 60}]), "volumes[0].size_bytes"),
        (container(volumes=[{"path": "/a", "cid": CID, "publish": True}]), "volumes[0].publish"),
        (container(volumes=[{"path": "/a", "cid": CID}, {"path": "/a/b", "cid": CID}]), "volumes[1].path"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_its_field(table, field):
    with pytest.raises(Invalid) as raised:
        parse(table)
    assert str(raised.value).startswith(f"{field}:") or str(raised.value).startswith(f"{field}.")
    assert "wanted" in str(raised.value)


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a.b", "a/b", "a" * 49, "canary-memory"])
def test_a_name_that_no_job_has_is_refused(name):
    with pytest.raises(Invalid, match="^job: got"):
        check_job(name)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(string.printable, max_size=12) | st.just(CID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FULL, *FULL["health"]]), inner),
    max_leaves=8,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.sampled_from(["container", "wasm"]), st.dictionaries(st.sampled_from([*FULL, "module", "x"]), VALUES))
def test_whatever_a_table_holds_it_is_read_or_refused(kind, fields):
    try:
        workload = parse({kind: fields})
    except Invalid:
        return
    assert parse(json.loads(json.dumps(workload.table))) == workload
