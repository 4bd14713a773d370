"""`tinyren buyer` and the routes that it asks: what a buyer is told, and how it ends when there is nothing to tell."""

import asyncio
import json
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette

from gateway import cli
from gateway.errors import Exit
from gateway.poai import private, readers_http
from tests.agent.test_private import KEY, OTHER, READER
from tests.poai.test_sealed import SealedSite, opening


@pytest.fixture
def run(tmp_path, capsys):
    """Function: one command of `tinyren buyer` -> (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(["buyer", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(params=["honest", "lying"])
def site(request, tmp_path):
    site = SealedSite(tmp_path, is_liar=request.param == "lying").play(4)
    site.is_liar = request.param == "lying"
    (tmp_path / "buyer.key").write_text(READER.to_hex().rjust(64, "0"))
    return site


def asked(site, method, path, **options):
    """The answer of a site's page to one request."""
    transport = httpx.ASGITransport(Starlette(routes=readers_http.routes(site.readers)))

    async def ask():
        async with httpx.AsyncClient(transport=transport, base_url="http://site") as http:
            return await http.request(method, f"/{path}", **options)

    return asyncio.run(ask())


def audit(run, folder, *more):
    return run("audit", "--site", folder, "--key", folder / "buyer.key", *more)


def test_an_audit_says_how_many_are_right_and_names_each_lie(site, run, tmp_path):
    code, out, _ = audit(run, tmp_path)
    device = f"0x{site.id.hex()}"
    assert code == (Exit.TRUST if site.is_liar else Exit.OK) and device in out.lower()
    assert ("FRAUD" in out, "3 of 3 right" in out) == (site.is_liar, not site.is_liar)
    assert out.splitlines()[-1].startswith("RESULT: TRUST" if site.is_liar else "RESULT: OK")


def test_a_proof_is_written_for_each_lie_and_anyone_can_check_it(site, run, tmp_path):
    _, out, _ = audit(run, tmp_path, "--out", tmp_path / "proofs", "--json")
    told, files = json.loads(out), sorted((tmp_path / "proofs").glob("*")) if site.is_liar else []
    assert told["proofs"] == [str(file) for file in files] and len(files) == 3 * site.is_liar
    for file in files:
        code, out, _ = run("check", file)
        assert code == Exit.OK and "RESULT: OK" in out
    assert all(private.read_sealed(0, frame)[0].box.hex() not in out for _, frame in site.items() if len(frame) > 288)


def test_an_audit_that_cannot_tell_the_gateway_says_so_beside_its_findings(run, tmp_path):
    SealedSite(tmp_path, is_liar=True).play(3)
    (tmp_path / "buyer.key").write_text(READER.to_hex().rjust(64, "0"))
    code, out, _ = audit(run, tmp_path, "--publish")
    assert code == Exit.TRUST and "FRAUD" in out and "not told to the gateway: " in out and "--out DIR" in out


def test_a_proof_that_was_changed_proves_nothing(run, tmp_path):
    site = SealedSite(tmp_path, is_liar=True).play(3)
    (tmp_path / "buyer.key").write_text(READER.to_hex().rjust(64, "0"))
    audit(run, tmp_path, "--out", tmp_path / "proofs")
    (file, *_) = sorted((tmp_path / "proofs").glob("*"))
    proof = json.loads(file.read_text())
    for frames in (proof["frames"][:-1], proof["frames"][:1], [], [*proof["frames"][:-1], opening(found(site)).hex()]):
        file.write_text(json.dumps({**proof, "frames": frames}))
        code, out, err = run("check", file)
        assert (code, out) == (Exit.TRUST, "") and "it proves nothing" in err


def test_a_right_answer_and_its_opening_prove_nothing(run, tmp_path):
    right = SealedSite(tmp_path).play(3).audited()[0]
    frames = [*(frame for _, frame in right.signed), opening(right.sealed)]
    (tmp_path / "right.json").write_text(json.dumps({"frames": [frame.hex() for frame in frames]}))
    code, out, err = run("check", tmp_path / "right.json")
    assert (code, out) == (Exit.TRUST, "") and "it proves nothing" in err


def test_a_proof_that_was_written_stays_as_it_is_and_what_was_told_is_not_told_again(run, tmp_path):
    site = SealedSite(tmp_path, is_liar=True).play(4)
    (tmp_path / "buyer.key").write_text(READER.to_hex().rjust(64, "0"))
    for lie in site.audited():
        site.readers.take(opening(lie.sealed))
    audit(run, tmp_path, "--out", tmp_path / "proofs")
    before = {file: file.read_bytes() for file in (tmp_path / "proofs").iterdir()}
    code, out, _ = audit(run, tmp_path, "--out", tmp_path / "proofs", "--publish")
    assert code == Exit.TRUST and "told to the gateway" not in out
    assert before == {file: file.read_bytes() for file in (tmp_path / "proofs").iterdir()} and before


def found(site):
    """A sealed answer of another site, whose opening does not fit."""
    return replace(site.audited()[0].sealed, digest=bytes(32))


def test_a_key_is_made_once_and_its_public_part_printed(run, tmp_path):
    code, first, _ = run("key", "--key", tmp_path / "new.key")
    assert code == 0 and len(first.strip()) == 66 and run("key", "--key", tmp_path / "new.key")[1] == first
    assert (tmp_path / "new.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new.key").read_text().strip() not in first


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["audit", "--key", "missing.key"], Exit.USAGE, "`tinyren buyer key --key"),
        (["audit", "--site", "nowhere"], Exit.USAGE, "there is no evidence yet; wanted a site that ran"),
        (["audit", "--site", ".", "--epoch", "7"], Exit.USAGE, "there is no evidence of epoch 7"),
        (["audit", "--gateway", "http://127.0.0.1:9", "--epoch", "1"], Exit.USAGE, "the epoch that runs only"),
        (["audit", "--gateway", "http://127.0.0.1:9"], Exit.FAILED, "wanted the page of a gateway that runs"),
        (["check", "buyer.key"], Exit.USAGE, "wanted a proof that `tinyren buyer audit --out DIR` wrote"),
    ],
)
def test_what_cannot_be_is_one_line_that_says_what_to_do(arguments, code, told, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "buyer.key").write_text(READER.to_hex().rjust(64, "0"))
    got, out, err = run(*arguments)
    assert (got, out) == (code, "") and told in err and len(err.splitlines()) == 1


def test_to_whom_nothing_was_sealed_is_told_what_it_takes(site, run, tmp_path):
    (tmp_path / "buyer.key").write_text(OTHER.to_hex().rjust(64, "0"))
    code, out, _ = audit(run, tmp_path)
    assert code == Exit.NOTHING_TO_DO and "nothing was sealed to you yet" in out and "RESULT: NOTHING_TO_DO" in out


def test_the_routes_give_what_is_sealed_and_take_a_lies_opening(site):
    told = asked(site, "GET", f"sealed/{KEY.hex()}").json()
    assert told == {"epoch": 1, "items": [[at_ms, frame.hex()] for at_ms, frame in site.items()]}
    assert {asked(site, "GET", f"sealed/{key}").status_code for key in ("00", "02" + "00" * 32)} == {400}
    before, shown = site.items(), opening(site.audited()[0].sealed).hex()
    posted = asked(site, "POST", "openings", json={"opening": shown})
    if site.is_liar:
        assert posted.json() == {"device": site.id.hex()} and len(site.items()) == len(before) + 1
        assert asked(site, "GET", f"sealed/{KEY.hex()}").json()["items"][-1][1] == shown
    else:
        assert posted.status_code == 409 and posted.json()["error"] == "sound" and site.items() == before


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [({"opening": "zz"}, 400, "malformed"), ({}, 400, "malformed"), ({"opening": "00"}, 409, "malformed"),
     ({"opening": "00" * 2000}, 400, "malformed")],
)  # fmt: skip
def test_another_body_is_refused_and_changes_nothing(body, status, reason, tmp_path):
    site = SealedSite(tmp_path).play(2)
    before = site.items()
    answer = asked(site, "POST", "openings", json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, reason) and site.items() == before
