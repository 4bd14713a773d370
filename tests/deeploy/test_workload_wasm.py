"""WebAssembly jobs as processes: limits, ends and reasons, output, volumes; found again, killed, and never twice."""

import fcntl
import os
import signal
import subprocess
import sys

import psutil
import pytest

from gateway.workloads.errors import Refused, Unavailable
from gateway.workloads.runs import Place, Run
from gateway.workloads.wasm_runs import LOST, WasmRuns
from gateway.workloads.workload import parse
from tests.workload_site import ESCROW, module, needs_podman, running, until, wasm

CAT = """(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (data (i32.const 0) "PATH")
  (func (export "_start") (call $exit (call $open (i32.const FOLDER) (i32.const 0) (i32.const 0) (i32.const LENGTH)
    (i32.const FLAGS) (i64.const RIGHTS) (i64.const 0) (i32.const 0) (i32.const 64)))))"""
READ, CREATE = (0, 2), (1, 64)
FIRST, SECOND = 3, 4


@pytest.fixture(scope="module")
def site():
    with running(podman=False) as opened:
        yield opened


def opens(path, folder=FIRST, how=READ):
    """A module that opens a path in a volume, and exits with WASI's error."""
    import wasmtime

    text = CAT.replace("PATH", path).replace("LENGTH", str(len(path))).replace("FOLDER", str(folder))
    return bytes(wasmtime.wat2wasm(text.replace("FLAGS", str(how[0])).replace("RIGHTS", str(how[1]))))


def applied(site, name, data, **fields):
    """Apply a module that is not restarted."""
    fields = {"restart": {"policy": "never"}, **fields}
    site.workloads.apply(name, parse({"wasm": {"module": site.r1fs.add([data]).cid, **fields}}))


def apply(site, name, data, **fields):
    """Its result."""
    applied(site, name, data, **fields)
    return site.until_result(name)[0]


def test_this_machine_holds_every_limit(site):
    found = site.workloads.limits()["wasm"]
    assert set(found) == {"memory", "fuel", "time", "root", "scratch"}
    assert all(finding.enforced for name, finding in found.items() if name != "scratch"), found


def test_a_paid_module_runs_says_and_is_measured(site):
    result = apply(site, "well", module("well"), escrow=ESCROW)
    assert (result.ok, result.exit_code, result.escrow, result.reason) == (True, 0, ESCROW, "ended well")
    assert result.measured_by == "measured by the gateway"
    assert 0 < result.fuel < 100 and 0 < result.cpu_s < 10 and result.peak_memory_bytes == 65536
    assert site.workloads.logs("well") == ["hello from a module"]


ENDS = [
    ("fails", {}, 3, "exit code 3"),
    ("loop", {"time_s": 1}, None, "time limit: ran for 1 s"),
    ("loop", {"fuel": 1000}, None, "out of fuel"),
    ("large", {}, None, "WebAssembly: memory minimum size of 20000 pages exceeds memory limits"),
    ("no start", {}, None, "module: got no export '_start'"),
    ("start is a number", {}, None, "module: got no export"),
    ("unknown import", {}, None, "WebAssembly: unknown import"),
    ("threads", {}, None, "WebAssembly: "),
    ("traps", {}, None, "WebAssembly: "),
]


@pytest.fixture(scope="module")
def ends(site):
    """The results of all of ENDS, which run at the same time."""
    for number, (name, limits, _, _) in enumerate(ENDS):
        site.workloads.apply(f"ends-{number}", wasm(site.r1fs, name, limits=limits, restart={"policy": "never"}))
    return [site.until_result(f"ends-{number}")[0] for number in range(len(ENDS))]


@pytest.mark.parametrize("number", range(len(ENDS)), ids=[name for name, *_ in ENDS])
def test_how_a_module_ends_is_told(ends, number):
    _, _, code, reason = ENDS[number]
    result = ends[number]
    assert (result.ok, result.exit_code) == (False, code) and result.reason.startswith(reason), result


def test_how_a_run_went_is_not_told_before_its_result_is_kept(site, monkeypatch):
    def full(result):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(site.workloads._jobs, "finish", full)
    site.workloads.apply("late", wasm(site.r1fs, "fails", restart={"policy": "never"}))
    row = site.until_state("late", "ending")
    assert not row.finished and row.reason.endswith("the disk is full")
    monkeypatch.undo()
    assert site.until_state("late", "failed").finished


def test_memory_grows_to_its_limit_and_no_further(site):
    result = apply(site, "grows", module("grows"), limits={"memory_bytes": 16 << 20})
    assert result.ok and result.peak_memory_bytes == (1 + 15 * 16) * 65536  # it asks for 16 pages each time


def test_a_log_flood_stays_within_its_limit_and_its_end_is_kept(site):
    result = apply(site, "flood", module("flood"), limits={"time_s": 2, "log_bytes": 8192})
    assert result.reason == "time limit: ran for 2 s"
    folder = site.folder / "w" / "runs" / "flood.1"
    assert 4096 < sum(path.stat().st_size for path in folder.glob("log*")) <= 8192
    assert site.workloads.logs("flood", 3)[-1].startswith(
        "hello from a module"[: len(site.workloads.logs("flood")[-1])]
    )


@pytest.mark.parametrize("data", [b"", b"\0asm", b"no module at all", b"\0asm\x02\0\0\0", b"(module)"])
def test_bytes_that_are_no_module_are_refused(site, data):
    result = apply(site, f"none-{data.hex() or 'empty'}", data)
    assert result.exit_code is None and "wanted a WebAssembly module" in result.reason


def test_a_module_that_begins_well_and_then_is_none_ends_with_the_reason(site):
    result = apply(site, "cut", module("well")[:40])
    assert result.exit_code is None and result.reason.startswith("WebAssembly: ")


def test_a_volume_is_read_only_and_what_is_beside_it_out_of_reach(site, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"content")
    cid = site.r1fs.add_folder(tmp_path / "a").cid
    opened = {
        "file": ("file",),
        "absent": ("other",),
        "above": ("../file",),
        "root": ("/etc/passwd",),
        "new": ("new", FIRST, CREATE),
        "second": ("file", SECOND),
    }
    for name, arguments in opened.items():
        applied(site, f"opens-{name}", opens(*arguments), volumes=[{"path": "/model", "cid": cid}])
    codes = {name: site.until_result(f"opens-{name}")[0].exit_code for name in opened}
    not_capable, bad, absent = {63, 76, 2}, 8, 44
    assert codes["file"] == 0 and codes["absent"] == absent and codes["second"] == bad
    assert codes["above"] in not_capable and codes["root"] in not_capable and codes["new"] in {58, 69, 63, 76, 2}


def test_a_file_as_a_volume_is_refused(site):
    cid = site.r1fs.add([b"a file"]).cid
    result = apply(site, "file-volume", module("well"), volumes=[{"path": "/model", "cid": cid}])
    assert "wanted a folder" in result.reason and not result.ok


@needs_podman
def test_a_scratch_is_published_and_its_size_kept(site):
    volumes = [{"path": "/out", "size_bytes": 65536, "publish": True}]
    result = apply(site, "writes", opens("made", FIRST, CREATE), volumes=volumes)
    assert result.ok and [entry.name for entry in site.r1fs.entries(result.published["/out"])] == ["made"]
    until(lambda: not list((site.folder / "w" / "volumes" / "scratch").iterdir()))


def test_what_r1fs_does_not_have_is_told_and_waited_for(site):
    data = opens("later")
    cid = site.r1fs.add([data]).cid
    site.r1fs.unpin(cid)
    site.r1fs.collect()
    site.workloads.apply("later", parse({"wasm": {"module": cid, "restart": {"policy": "never"}}}))
    until(lambda: "not here" in site.row("later").reason)
    assert site.results("later") == []
    site.r1fs.add([data])
    assert site.until_result("later")[0].exit_code == 8


def test_a_job_goes_on_while_its_gateway_is_away(site):
    site.workloads.apply("goes-on", wasm(site.r1fs, "loop"))
    since_ms = until(lambda: (row := site.row("goes-on")).cpu_s and row).since_ms
    site.stop()
    site.start()
    row = site.until_state("goes-on", "running")
    assert (row.run, row.since_ms) == (1, since_ms)
    site.workloads.remove("goes-on")
    assert site.until_result("goes-on")[0].reason == "removed"


def test_a_killed_process_is_told_and_its_job_restarted(site):
    site.workloads.apply("killed", wasm(site.r1fs, "loop", restart={"policy": "on-failure", "most": 1}))
    for count in (1, 2):
        os.kill(site.pid("killed", count), signal.SIGKILL)
        assert site.until_result("killed", count)[-1].reason == LOST
    assert "given up: 2 runs" in site.until_state("killed", "failed").reason
    assert [result.wall_s for result in site.results("killed")] == [0, 0]  # nobody saw how long


def test_a_folder_runs_once_however_often_it_is_started(tmp_path):
    runs, run = WasmRuns(tmp_path), Run("j", 1)
    (tmp_path / "loop.wasm").write_bytes(module("loop"))
    workload = parse({"wasm": {"module": "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"}})
    runs.create(run, workload, Place((), str(tmp_path / "loop.wasm")))
    command = [sys.executable, "-m", "gateway.workloads.wasm", str(tmp_path / run.name)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    try:
        until(lambda: sum(process.poll() is None for process in processes) == 1)
        (seen,) = WasmRuns(tmp_path).runs()
        assert seen.state == "running" and psutil.Process(seen.pid).is_running()
        assert seen.pid in {process.pid for process in processes}
        runs.stop(run)
        until(lambda: all(process.poll() is not None for process in processes))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    (seen,) = runs.runs()
    assert (seen.state, seen.reason) == ("ended", "stopped by the gateway")
    assert subprocess.run(command, check=False).returncode == 0 and runs.runs() == [seen]


def test_a_folder_whose_lock_is_held_is_another_processs(tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "gateway.workloads.wasm", str(tmp_path)]
        assert subprocess.run(command, check=False).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_paid_work_is_refused_where_a_limit_does_not_hold(site, monkeypatch):
    monkeypatch.setitem(
        site.workloads._limits["wasm"], "fuel", site.workloads._limits["wasm"]["fuel"]._replace(enforced=False)
    )
    before = site.workloads.observed()
    with pytest.raises(Refused, match=r"here do not: fuel \(an endless loop: out of fuel\)$"):
        site.workloads.apply("paid", wasm(site.r1fs, "well", escrow=ESCROW))
    assert [row.job for row in site.workloads.observed()] == [row.job for row in before]
    assert site.workloads.apply("unpaid", wasm(site.r1fs, "well")) == [
        "not enforced: fuel (an endless loop: out of fuel)"
    ]
    assert site.until_result("unpaid")[0].ok


def test_without_podman_containers_are_refused_by_the_name_of_what_is_missing(site):
    before = site.workloads.observed()
    with pytest.raises(Unavailable, match="podman and runc not installed: container jobs need `apt-get install podman"):
        site.workloads.apply("box", parse({"container": {"image": "alpine"}}))
    assert site.workloads.observed() == before
