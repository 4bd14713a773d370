"""The gateway's package: what is in it, and installed, run, upgraded, removed and purged by dpkg over this system."""

import os
import re
import shutil
import socket
import subprocess
import threading
import urllib.request

import pytest

from gateway import cli
from gateway.debian import build, pages
from gateway.errors import CommandError
from tests.deb_root import ARCH, WAIT_S, Root, missing
from tests.up_site import ROOT

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())
EXPOSURE_MAX = 1.6
AWAY = re.compile("error sending request|dns error|Failed to fetch|client error|timed out", re.IGNORECASE)
DATA, CONFIG, UNIT = "/var/lib/tinyren", "/etc/tinyren/config.toml", "/usr/lib/systemd/system/tinyren.service"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    try:
        return build.build(ARCH, tmp_path_factory.mktemp("deb"), compress="none")
    except CommandError as error:
        if AWAY.search(str(error)):
            pytest.skip(f"the package index does not answer: {error}")
        raise


@pytest.fixture(scope="module")
def listed(package):
    """[(mode, owner, path)] of the package."""
    lines = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout.splitlines()
    return [(words[0], words[1], words[5].removeprefix(".")) for words in map(lambda line: line.split(None, 5), lines)]


@pytest.fixture(scope="module")
def installed(package, tmp_path_factory):
    root = Root(tmp_path_factory.mktemp("installed"))
    root.put("/tmp/tinyren.deb", package)
    root.run("dpkg", "-i", "/tmp/tinyren.deb")
    yield root
    root.end()


def next_version(package, folder, version):
    """A package of another version with the same scripts, configuration and unit; little else, so that it is quick."""
    (tree := folder / "tree").mkdir()
    subprocess.run(["dpkg-deb", "-e", package, tree / "DEBIAN"], check=True)
    files = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    parts = ["./etc", "./usr/bin", "./usr/lib/systemd", "./usr/lib/sysusers.d", "./usr/lib/tinyren/pyvenv.cfg"]
    subprocess.run(["tar", "-x", "-C", tree, *parts], input=files, check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub("^Version: .*$", f"Version: {version}", control.read_text(), flags=re.MULTILINE))
    made = ["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, folder / "next.deb"]
    subprocess.run(made, check=True, capture_output=True)
    return folder / "next.deb"


def test_everything_belongs_to_root_and_nobody_else_writes_it(listed):
    assert {owner for _, owner, _ in listed} == {"root/root"}
    assert [path for mode, _, path in listed if mode[0] != "l" and (mode[5] == "w" or mode[8] == "w")] == []
    assert [path for mode, _, path in listed if "s" in mode] == []
    assert [mode for mode, _, path in listed if path == CONFIG] == ["-rw-r-----"]


def test_the_pages_files_the_contracts_and_the_models_are_in_it(listed):
    there = {path.partition("site-packages/")[2] for _, _, path in listed}
    wanted = [path for name in ("templates", "static") for path in (ROOT / "gateway" / "web" / name).rglob("*")]
    wanted += [*(ROOT / "contracts" / "artifacts").glob("*.json"), *(ROOT / "models").glob("*/encoder.ren")]
    assert [path for path in wanted if path.is_file() and path.relative_to(ROOT).as_posix() not in there] == []
    assert not {path for path in there if "/tests/" in path and path.startswith(("gateway", "device"))}


def test_nothing_tells_of_the_computer_that_built_it(package, tmp_path):
    subprocess.run(["dpkg-deb", "-R", package, tmp_path / "tree"], check=True)
    paths = [path for path in (tmp_path / "tree").rglob("*") if path.is_file() and not path.is_symlink()]
    own = [path for path in paths if "site-packages" not in path.parts or ".dist-info" in path.as_posix()]
    places = (str(ROOT).encode(), b"/tinyren-deb-")
    assert [path for path in own if any(place in path.read_bytes() for place in places)] == []


def test_a_program_of_another_machine_is_refused(tmp_path):
    other = next(arch for arch in build.MACHINES if arch != ARCH)
    shutil.copy("/bin/true", tmp_path / "tool")
    build._refuse_other_machines(tmp_path, ARCH)
    with pytest.raises(CommandError, match=f"tool is for ELF machine .* wanted {build.MACHINES[other]} .{other}."):
        build._refuse_other_machines(tmp_path, other)


def test_a_package_of_the_lock_with_another_digest_is_refused(tmp_path, monkeypatch):
    for name in (*build.OURS, "docs"):
        (tmp_path / name).mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "requirements.lock").write_text(f"h11==0.16.0 --hash=sha256:{'0' * 64}\n")
    monkeypatch.setattr(build, "ROOT", tmp_path)
    with pytest.raises(CommandError, match="`uv pip install` failed"):
        build.build(ARCH, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_command_is_in_the_manual_and_every_exit_code_that_means_something():
    text = pages.manual().decode().replace(r"\-", "-")
    assert all(f"\\fB{name}\\fR" in text for name, _ in pages._commands(cli.parser()))
    assert rf"\fB{11}\fR" in text and ".SH FILES" in text


@pytest.mark.parametrize(
    ("words", "found"), [(["tinyren", "gat"], "gateway"), (["tinyren", "gateway", "tl"], "tls")], ids=["verb", "step"]
)
def test_bash_completes_commands(words, found, tmp_path):
    (tmp_path / "completion").write_bytes(pages.completion())
    script = f"""
        source {tmp_path}/completion; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}
        $(complete -p tinyren | grep -oE '_[a-z_]+' | head -1) tinyren {words[-1]} {words[-2]}
        echo "${{COMPREPLY[@]}}" """
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert found in ended.stdout.split(), ended.stderr


def test_it_makes_a_user_and_a_folder_for_that_user_alone(installed):
    said = installed.run("stat", "-c", "%U %G %a", DATA, CONFIG)
    assert said.splitlines() == ["tinyren tinyren 750", "root tinyren 640"]
    assert "dialout" in installed.run("id", "tinyren") and "nologin" in installed.run("getent", "passwd", "tinyren")
    assert installed.exists("/etc/systemd/system/multi-user.target.wants/tinyren.service")
    assert installed.run("/usr/bin/tinyren", "--version") == f"tinyren {cli.VERSION}\n"
    assert "boards = []" in installed.run("cat", CONFIG, user="tinyren")


def test_its_unit_is_valid_and_exposes_little(installed):
    assert "tinyren" not in installed.run("systemd-analyze", "verify", UNIT)
    said = installed.run("systemd-analyze", "security", "--offline=yes", "--no-pager", UNIT)
    exposure = float(re.search(r"Overall exposure level for tinyren.service: ([0-9.]+)", said)[1])
    assert exposure <= EXPOSURE_MAX


def run_service(root):
    """Start what the unit starts, as its user; (process, port of its page) once it says that it is ready."""
    unit = root.run("cat", UNIT)
    command = re.search("^ExecStart=(.*)$", unit, re.MULTILINE)[1].split()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(b"\0tinyren-test-%d" % os.getpid())  # abstract: seen from the overlay too
    listener.settimeout(WAIT_S)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = [f"NOTIFY_SOCKET=@tinyren-test-{os.getpid()}", f"TINYREN_PAGE_PORT={port}", "PYTHONDONTWRITEBYTECODE=1"]
    process = subprocess.Popen(root.words("env", *told, *command, user="tinyren"), stderr=subprocess.PIPE, text=True)
    said = []
    threading.Thread(target=lambda: said.extend(process.stderr), daemon=True).start()
    while not listener.recv(4096).startswith(b"READY=1\nSTATUS="):  # the gateway's word, not its broker's
        assert process.poll() is None, said
    listener.close()
    return process, port


def test_what_the_unit_starts_is_ready_answers_and_ends_by_sigterm(installed):
    process, port = run_service(installed)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/state.json", timeout=WAIT_S) as answer:
        assert answer.status == 200
    kept = installed.run("find", DATA, "!", "-user", "tinyren")
    process.terminate()
    assert process.wait(WAIT_S) == 0 and kept == ""
    assert installed.run("find", DATA, "-perm", "/o+rwx", "-type", "f", "-name", "*.key") == ""


def test_an_upgrade_keeps_what_was_set_and_what_was_kept_and_only_a_purge_removes_it(package, installed, tmp_path):
    installed.run("sh", "-c", f"echo '# mine' >> {CONFIG}; mkdir -p {DATA}/keys; echo secret > {DATA}/keys/kept")
    installed.put("/tmp/next.deb", next_version(package, tmp_path, "9.9.9"))
    installed.run("dpkg", "-i", "/tmp/next.deb")
    assert "9.9.9" in installed.run("dpkg-query", "-W", "tinyren")
    assert "# mine" in installed.run("cat", CONFIG) and installed.run("cat", f"{DATA}/keys/kept") == "secret\n"
    assert installed.run("stat", "-c", "%U %G %a", CONFIG) == "root tinyren 640\n"

    installed.run("dpkg", "-r", "tinyren")
    assert not installed.exists("/usr/lib/tinyren") and not installed.exists("/usr/bin/tinyren")
    assert installed.exists(f"{DATA}/keys/kept") and installed.exists(CONFIG)

    installed.run("dpkg", "-P", "tinyren")
    assert not installed.exists(DATA) and not installed.exists("/etc/tinyren")
    assert "tinyren" in installed.run("getent", "passwd", "tinyren")


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is missing; it says what Debian asks of a package")
def test_lintian_has_nothing_to_say(package):
    of_tests = "uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball"
    command = ["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", of_tests, package]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
