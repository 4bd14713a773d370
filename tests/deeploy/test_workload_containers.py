"""Container jobs on podman as it is: limits, ends and their reasons, images by CID, volumes, logs, health, restarts."""

import pytest

from gateway.workloads.workload import parse
from tests.workload_site import ESCROW, image, needs_podman, running, shell, tar_of, until

pytestmark = needs_podman
NEVER = {"policy": "never"}
HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
FORKS = "for i in $(seq 100); do sleep 20 & echo made $i; done; wait"
FLOOD = "yes 'a line of a flood' | head -n 400000"


@pytest.fixture(scope="module")
def site():
    with running() as opened:
        yield opened


@pytest.fixture(scope="module")
def busybox(site):
    entries, digest = image()
    return site.r1fs.add([tar_of(entries)]).cid, digest


@pytest.fixture(scope="module")
def ended(site, busybox, tmp_path_factory):
    """{name: result} of jobs that run to their end at the same time."""
    cid, _ = busybox
    folder = tmp_path_factory.mktemp("content")
    (folder / "model").write_bytes(b"weights")
    content, file = site.r1fs.add_folder(folder).cid, site.r1fs.add([b"one file"]).cid
    volumes = [{"path": "/model", "cid": content}, {"path": "/one", "cid": file}]
    scratch = [{"path": "/out", "size_bytes": 1 << 20, "publish": True}]
    scripts = {
        "hog": (HOG, {"limits": {"memory_bytes": 32 << 20}}),
        "forks": (FORKS, {"limits": {"pids": 12, "time_s": 3}}),
        "flood": (FLOOD, {"limits": {"log_bytes": 65536}}),
        "time": ("sleep 60", {"limits": {"time_s": 1}}),
        "code": ("exit 7", {}),
        "rights": ("touch /file; busybox mount -t tmpfs x /bin; busybox id -u; cat /sys/class/net/*/address", {}),
        "volumes": ("cat /model/model /one; echo no > /model/new || echo kept", {"volumes": volumes}),
        "full": ("dd if=/dev/zero of=/out/file bs=64k count=64; busybox du -k /out", {"volumes": scratch}),
        "holes": ("dd if=/dev/zero of=/out/hole bs=1 count=1 seek=1000000000", {"volumes": scratch}),
        "links": ("ln -s /etc/passwd /out/link", {"volumes": scratch}),
        "variables": ("echo $WHO", {"environment": {"WHO": "me and you"}}),
    }
    for name, (script, fields) in scripts.items():
        site.workloads.apply(name, shell(cid, script, restart=NEVER, **fields))
    absent = {"image": cid, "command": ["/bin/absent"], "restart": NEVER}
    site.workloads.apply("absent", parse({"container": absent}))
    return {name: site.until_result(name)[0] for name in [*scripts, "absent"]}


def test_this_machine_holds_every_limit_or_says_which_not(site):
    found = site.workloads.limits()["container"]
    assert set(found) == {"memory", "cpu", "pids", "network", "root", "time", "log", "scratch"}
    assert all(finding.enforced for finding in found.values()), found


def test_a_paid_job_runs_says_publishes_and_is_measured(site, busybox):
    cid, digest = busybox
    fields = {"digest": digest, "escrow": ESCROW, "volumes": [{"path": "/out", "size_bytes": 1 << 16, "publish": True}]}
    script = "echo working; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done > /out/answer"
    assert site.workloads.apply("paid", shell(cid, script, **fields)) == []
    (result,) = site.until_result("paid")
    assert (result.ok, result.exit_code, result.escrow) == (True, 0, ESCROW)
    assert result.measured_by == "measured by the gateway"
    assert 0.01 < result.cpu_s < 20 and 0 < result.peak_memory_bytes < 64 << 20 and result.wall_s > 0
    assert "working" in site.workloads.logs("paid")[-1]
    assert b"".join(site.r1fs.read(site.r1fs.entries(result.published["/out"])[0].cid)) == b"done\n"
    assert site.until_state("paid", "ended").reason == "run 1: ended well; done: it ended well"


def test_what_takes_more_memory_is_ended_and_that_is_the_reason(ended):
    assert ended["hog"].reason == f"out of memory: its limit is {32 << 20} bytes"
    assert not ended["hog"].ok and ended["hog"].peak_memory_bytes < 48 << 20


def test_a_fork_bomb_stops_at_its_pids(site, ended):
    made = [line for line in site.workloads.logs("forks") if " made " in line]
    assert 5 < len(made) < 12 and not ended["forks"].ok


def test_a_log_flood_stays_within_its_limit(site, ended):
    folder = site.folder / "w" / "runs" / "flood.1"
    assert ended["flood"].ok and site.workloads.logs("flood")[-1].endswith("a line of a flood")
    until(lambda: not (folder / "conmon.log").exists())
    assert sum(path.stat().st_size for path in folder.iterdir() if path.name != "copied") <= 65536


def test_time_limit_exit_code_and_a_command_that_is_not_there_are_told(ended):
    assert ended["time"].reason == "time limit: ran for 1 s" and ended["time"].wall_s < 5
    assert (ended["code"].reason, ended["code"].exit_code) == ("exit code 7", 7)
    assert ended["absent"].reason.startswith("could not start: podman: ") and "/bin/absent" in ended["absent"].reason


def test_a_job_has_no_rights_and_no_network_but_loopback(site, ended):
    said = "\n".join(site.workloads.logs("rights"))
    assert "Read-only file system" in said and "permission denied" in said
    assert [line.split(" ", 3)[3] for line in said.splitlines() if "stdout" in line] == ["0", "00:00:00:00:00:00"]


def test_content_is_read_only_and_a_scratch_is_no_larger_than_it_may_be(site, ended):
    said = "\n".join(site.workloads.logs("volumes"))
    assert all(words in said for words in ("weights", "one file", "kept", "Read-only file system"))
    assert "No space left on device" in "\n".join(site.workloads.logs("full"))
    assert site.r1fs.entries(ended["full"].published["/out"])[0].name == "file"


def test_a_scratch_that_claims_too_much_or_holds_links_is_not_published(ended):
    assert ended["holes"].published == {} and "claim more than 1048576 bytes" in ended["holes"].reason
    assert ended["links"].published == {} and "wanted files and folders" in ended["links"].reason


def test_variables_are_given(site, ended):
    assert ended["variables"].ok and site.workloads.logs("variables")[-1].endswith(" me and you")


def test_nothing_is_left_of_ended_runs(site, ended):
    until(lambda: not list((site.folder / "w" / "volumes" / "scratch").iterdir()))
    until(lambda: not site.workloads._looks.seen)
    assert site.workloads._containers.runs() == []


def test_an_image_of_another_digest_and_one_that_climbs_are_refused(site, busybox):
    cid, _ = busybox
    entries, _ = image()
    climbs = site.r1fs.add([tar_of([*entries, ("../outside", b"x")])]).cid
    folder = tar_of([("outside", b"x")])
    nothing = site.r1fs.add([folder]).cid
    site.workloads.apply("another", shell(cid, "true", digest="sha256:" + "00" * 32, restart=NEVER))
    site.workloads.apply("climbs", shell(climbs, "true", restart=NEVER))
    site.workloads.apply("nothing", shell(nothing, "true", restart=NEVER))
    assert "wanted sha256:0000" in site.until_result("another")[0].reason
    assert "leads out" in site.until_result("climbs")[0].reason
    assert "wanted what `podman save` writes" in site.until_result("nothing")[0].reason


def test_an_image_that_nobody_has_is_told(site):
    site.workloads.apply("nobody", shell("localhost/nothing/here:1", "true", restart=NEVER))
    assert site.until_result("nobody")[0].reason.startswith("could not start: image localhost/nothing/here:1: ")


def test_a_failing_job_is_restarted_and_given_up(site, busybox):
    cid, _ = busybox
    site.workloads.apply("again", shell(cid, "exit 1", restart={"policy": "on-failure", "most": 1}))
    first, second = site.until_result("again", 2)
    assert (first.run, second.run, first.hasty, second.hasty) == (1, 2, 1, 2)
    assert "given up: 2 runs" in site.until_state("again", "failed").reason


SERVES, WAITS = "busybox httpd -f -p 8080 -h /bin & wait", "sleep 60 & wait"
CHECKS = {
    "answers": ({"http": "8080/busybox"}, SERVES, "healthy"),
    "listens": ({"tcp": 8080}, SERVES, "healthy"),
    "is-well": ({"command": ["/bin/busybox", "true"]}, WAITS, "healthy"),
    "has-no-page": ({"http": "8080/absent"}, SERVES, "unhealthy"),
    "has-no-port": ({"tcp": 8080}, WAITS, "unhealthy"),
    "is-ill": ({"command": ["/bin/busybox", "false"]}, WAITS, "unhealthy"),
    "hangs": ({"command": ["/bin/busybox", "sleep", "9"]}, WAITS, "unhealthy"),
    "talks": ({"command": ["/bin/busybox", "yes"]}, WAITS, "unhealthy"),
}


@pytest.fixture(scope="module")
def checked(site, busybox):
    """Jobs with checks, running at the same time."""
    for name, (check, script, _) in CHECKS.items():
        health = {**check, "interval_s": 1, "timeout_s": 1, "retries": 2}
        script = f"trap exit TERM; {script}"
        site.workloads.apply(name, shell(busybox[0], script, health=health, restart=NEVER))


@pytest.mark.parametrize("name", CHECKS)
def test_a_job_without_a_network_is_checked_and_ended_when_it_fails(site, checked, name):
    if CHECKS[name][2] == "unhealthy":
        assert site.until_result(name)[0].reason == "unhealthy"
    else:
        until(lambda: site.row(name).health == "healthy")
        assert site.row(name).state == "running" and site.results(name) == []
