"""How a further gateway is made one of a site: what is written where, and everything that is refused."""

import json
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.broker import broker_url
from gateway.errors import CommandError, Exit
from gateway.site import admissions, joining, site_file
from gateway.site.site_file import Site

CONTRACTS = {name: "0x" + digit * 40 for name, digit in (("settlement", "1"), ("devices", "2"), ("r1", "3"))}
URL = "http://10.0.0.2:8421"
INVITATION = "mqtt://a@127.0.0.1:1", "secret", URL, *("0x" + digit * 40 for digit in "123")


@pytest.fixture
def home(tmp_path):
    """A site that was started once."""
    site = Site(boards=[], gateway="0x" + "a" * 40, broker_port=21000, chain_rpc="http://127.0.0.1:8420/rpc")
    site.contracts = dict(CONTRACTS)
    (tmp_path / "home").mkdir()
    site_file.write(tmp_path / "home", site)
    return tmp_path / "home"


def tree(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_invitation_makes_a_further_gateway_that_finds_its_site(home, tmp_path):
    further = tmp_path / "further"
    address = joining.prepare(further)
    invitation = json.loads(json.dumps(joining.admit(home, address, URL)))
    joining.accept(further, invitation, 8421)
    assert site_file.read(home).gateways == {address: URL}
    kept = site_file.read(further)
    assert (kept.gateway, kept.home_gateway, kept.page_port) == (address, "0x" + "a" * 40, 8421)
    assert kept.chain_external and kept.contracts == {name: CONTRACTS[name] for name in ("settlement", "devices")}
    remote = joining.home_of(further, kept)
    name = joining.account_of(address)
    assert remote.places == (("127.0.0.1", 21000),)
    assert remote.account == (name, (home / "broker" / f"{name}.password").read_text())
    for path in (joining.password_path(further), home / "broker" / f"{name}.password"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert invitation["password"] not in (further / "site.toml").read_text()
    assert joining.admit(home, address, URL) == invitation and joining.prepare(further) == address


def test_a_site_whose_broker_is_elsewhere_lends_its_account(home, tmp_path):
    site = site_file.read(home)
    broker_url.keep(home, site, broker_url.parse_url("mqtt://all:secret@broker.example:1884"))
    site_file.write(home, site)
    invitation = joining.admit(home, joining.prepare(tmp_path / "further"), URL)
    assert (invitation["home"], invitation["password"]) == ("mqtt://all@broker.example:1884", "secret")


def test_what_cannot_be_admitted_changes_nothing(home, tmp_path, monkeypatch):
    address, own = joining.prepare(tmp_path / "further"), "0x" + "a" * 40
    before = tree(home)
    for place, who, url, code, words in (
        (tmp_path / "nothing", address, URL, Exit.USAGE, "has started once"),
        (home, own, URL, Exit.REFUSED, "the site's own gateway"),
        (home, address, "10.0.0.2", Exit.USAGE, "url: "),
    ):
        with pytest.raises(CommandError, match=words) as refused:
            joining.admit(place, who, url)
        assert refused.value.code == code
    assert not (tmp_path / "nothing").exists()
    monkeypatch.setattr(admissions, "TAKEN_S", 0.0)
    with site_file.locked(home), pytest.raises(CommandError, match="did not take .*; ask again when") as refused:
        joining.admit(home, address, URL)
    assert refused.value.code == Exit.TIMEOUT
    assert {**tree(home), "lock": b""} == {**before, "lock": b""}


def run(capsys, *arguments):
    """One command: (exit code, stdout, stderr)."""
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as ended:
        code = ended.code
    return code, *capsys.readouterr()


def test_the_commands_say_what_to_do_next(home, tmp_path, capsys):
    code, out, _ = run(capsys, "gateway", "join", tmp_path / "edge")
    address = out.split()[0]
    assert code == 0 and f"tinyren gateway admit {address} http://" in out
    paper = tmp_path / "invitation.json"
    code, out, _ = run(capsys, "gateway", "admit", address, URL, "--site", home, "-o", paper)
    assert code == 0 and "tinyren gateway join DIR --invitation invitation.json" in out
    assert stat.S_IMODE(paper.stat().st_mode) == 0o600 and set(json.loads(paper.read_text())) == set(joining.FIELDS)
    code, out, _ = run(capsys, "gateway", "join", tmp_path / "edge", "--invitation", paper)
    assert code == 0 and f"tinyren gateway up {tmp_path / 'edge'}" in out and site_file.read(tmp_path / "edge").home


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "wanted an invitation"), ("[]", "wanted an invitation"), ("{}", "home, password")],
)
def test_what_is_no_invitation_makes_no_further_gateway_and_leaves_nothing(tmp_path, capsys, content, words):
    (tmp_path / "paper").write_text(content)
    code, out, err = run(capsys, "gateway", "join", tmp_path / "edge", "--invitation", tmp_path / "paper")
    assert (code, out, err.count("\n")) == (Exit.USAGE, "", 1) and words in err
    assert not (tmp_path / "edge").exists()


def test_a_site_has_at_most_so_many_further_gateways(home, monkeypatch):
    monkeypatch.setattr(admissions, "MAX_GATEWAYS", 1)
    joining.admit(home, "0x" + "b" * 40, URL)
    before = tree(home)
    with pytest.raises(CommandError, match="no place for more"):
        joining.admit(home, "0x" + "c" * 40, URL)
    assert tree(home) == before


def test_a_site_of_its_own_or_a_paper_that_is_no_invitation_makes_no_further_gateway(home, tmp_path):
    before = tree(home)
    with pytest.raises(CommandError, match="a site of its own"):
        joining.prepare(home)
    assert tree(home) == before
    further = tmp_path / "further"
    invitation = joining.admit(home, joining.prepare(further), URL)
    kept = tree(further)
    for name in joining.FIELDS:
        for value in (None, 7):
            with pytest.raises(CommandError, match=name):
                joining.accept(further, invitation | {name: value}, 8421)
    for name in joining.ADDRESSES:
        with pytest.raises(CommandError, match=f"{name}: wanted 0x"):
            joining.accept(further, invitation | {name: "0x1"}, 8421)
    with pytest.raises(CommandError, match="--mqtt"):
        joining.accept(further, invitation | {"home": "ftp://x"}, 8421)
    assert tree(further) == kept


@settings(max_examples=100, derandomize=True, deadline=None)
@given(
    fields=st.dictionaries(
        st.sampled_from(joining.FIELDS),
        st.text(max_size=20) | st.just("\ud800") | st.integers() | st.none() | st.lists(st.none()),
        max_size=6,
    )
)
def test_any_invitation_is_taken_or_refused_and_what_is_refused_leaves_nothing(tmp_path_factory, fields):
    folder, kept = tmp_path_factory.mktemp("further") / "further", dict(zip(joining.FIELDS, INVITATION, strict=True))
    try:
        joining.accept(folder, kept | fields, 8421)
    except CommandError:
        assert not folder.exists()
    else:
        assert site_file.read(folder).home == (kept | fields)["home"]
