"""What leaves a gateway for who is to help: everything that helps, and no key, password or code."""

import json
import os
import tarfile

import pytest

from gateway import cli
from gateway.edge import bundle
from gateway.site import site_file


@pytest.fixture
def made(tmp_path, capsys):
    folder = tmp_path / "site"
    assert cli.main(["gateway", "init", str(folder), "--json"]) == 0
    capsys.readouterr()
    return folder


def test_a_support_bundle_holds_no_key_no_password_and_no_code(made, tmp_path, monkeypatch, capsys):
    code = cli.main(["gateway", "admin-code", str(made), "--json"]) or json.loads(capsys.readouterr().out)["code"]
    secrets = {path: path.read_text().strip() for path in made.glob("keys/*")}
    (made / "broker").mkdir()
    (made / "broker/gateway.password").write_text("pass-word-0123456789")
    (made / "broker/devices.json").write_text('{"0xab": "device-0123456789"}')
    rpc = "https://node.example/v3/0123456789abcdef"
    monkeypatch.setenv("TINYREN_CHAIN_RPC", rpc)
    kept = site_file.Site(boards=[], chain_rpc=rpc, chain_external=True, broker_url="mqtt://somebody@host:1883")
    site_file.write(made, kept)
    (made / "logs").mkdir()
    words = [
        *secrets.values(),
        "pass-word-0123456789",
        "device-0123456789",
        rpc,
        f"admin code, shown once: {code}",
        "mqtt://u:p-w@host",
    ]
    (made / "logs/oracle-1.log").write_text("said\n" + "\n".join(words) + "\nend\n")
    out = tmp_path / "s.tar.gz"
    assert cli.main(["gateway", "support-bundle", str(made), "--out", str(out)]) == 0
    with tarfile.open(out) as tar:
        texts = {info.name: tar.extractfile(info).read().decode() for info in tar}
    whole = "\n".join(texts.values())
    for secret in (
        *secrets.values(),
        "pass-word-0123456789",
        "device-0123456789",
        "0123456789abcdef",
        code,
        "somebody",
        "p-w",
    ):
        assert secret not in whole, secret
    assert texts["tinyren-support/logs/oracle-1.log"].startswith("said\n<cut>") and os.stat(out).st_mode & 0o077 == 0
    assert {"versions.json", "config.json", "doctor.json", "status.json"} <= {name.split("/")[1] for name in texts}


def test_what_looks_like_a_secret_is_cut_out_of_any_text():
    assert bundle.cut("a KEYKEYKEY b 14D6-A9MN-V6DE c", ["KEYKEYKEY"]) == "a <cut> b <cut> c"
    assert bundle.cut("mqtts://user:word@host/x 2026-11-22", []) == "mqtts://<cut>@host/x 2026-11-22"
