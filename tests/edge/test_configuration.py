"""What a gateway is configured to do: the order of sources, where a value comes from, how wrong ones are refused."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import cli
from gateway.commands import config as config_commands
from gateway.configuration import configuration
from gateway.configuration.settings import SETTINGS, template
from gateway.configuration.toml_values import encode
from gateway.errors import CommandError, Exit
from gateway.site import site_file
from tests.up_site import ROOT

PORT = "page.port"


def load(site, options=None, assigned=None, **environment):
    return configuration.load(site, options, assigned, environment)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_source_goes_before_those_that_are_weaker(tmp_path):
    sources = [
        (lambda: None, 8420, "default"),
        (lambda: write(tmp_path / "config.toml", "# mine\n[page]\nport = 1001\n"), 1001, f"{tmp_path}/config.toml:3"),
        (lambda: write(tmp_path / "config.d/10.toml", "[page]\nport = 1002\n"), 1002, f"{tmp_path}/config.d/10.toml:2"),
        (lambda: write(tmp_path / "config.d/20.toml", "page.port = 1003\n"), 1003, f"{tmp_path}/config.d/20.toml:1"),
    ]
    for make, value, place in sources:
        make()
        assert load(tmp_path).origins[PORT] == (value, place)
    assert load(tmp_path, TINYREN_PAGE_PORT="1004").origins[PORT] == (1004, "TINYREN_PAGE_PORT")
    chosen = load(tmp_path, None, {PORT: "1005"}, TINYREN_PAGE_PORT="1004")
    assert chosen.origins[PORT] == (1005, "--set") and chosen.is_set(PORT)
    assert load(tmp_path, {"port": 1006}, TINYREN_PAGE_PORT="1004").origins[PORT] == (1006, "--port")


def test_an_overlay_changes_only_what_it_names(tmp_path):
    write(tmp_path / "config.toml", '[page]\nport = 1001\nlisten = "0.0.0.0"\n')
    write(tmp_path / "config.d/a.toml", "[page]\nport = 1002\n")
    values = load(tmp_path).values
    assert (values[PORT], values["page.listen"], values["site.workers"]) == (1002, "0.0.0.0", 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[page]\nprot = 1\n", ":2: unknown setting 'page.prot'; did you mean page.port?"),
        ("[pages]\nport = 1\n", ":2: unknown setting 'pages.port'; did you mean page.port?"),
        ("[x]\ny = 1\n", ":2: unknown setting 'x.y'"),
        ("port = 1\n", ":1: port: wanted it in a section, one of [site] [page]"),
        ("[page]\n\nport = 0\n", ":3: page.port: got 0, wanted a whole number from 1 to 65535"),
        ("[page]\nport = 65536\n", "got 65536"),
        ("[page]\nport = true\n", "got True, wanted a whole number"),
        ("[page]\nport = 1.0\n", "got 1.0"),
        ('[page]\nport = "1"\n', "got '1'"),
        ('[page]\nlisten = "lan"\n', ":2: page.listen: got 'lan', wanted an IP address"),
        ('[page]\nnames = ["a b"]\n', "page.names: got ['a b'], wanted a list of host names"),
        ("[page]\nnames = [1]\n", "page.names: got [1]"),
        (
            '[broker]\nlisten = "1883"\n',
            ":2: broker.listen: got '1883', wanted ADDRESS:PORT, for instance 0.0.0.0:1883",
        ),
        ('[broker]\nlisten = "::1:1883"\n', "broker.listen: got '::1:1883'"),
        ('[broker]\nca_file = "no.pem"\n', ":2: broker.ca_file: got 'no.pem', wanted the path of a file that is there"),
        ('[chain]\nrpc = "ftp://key-0123456789"\n', ":2: chain.rpc: got a value that is not shown, wanted http"),
        ("[page\n", "wanted TOML"),
        ("x = " + "[" * 5000, "wanted TOML"),
    ],
)
def test_a_wrong_file_is_told_with_its_line_and_what_was_wanted(text, message, tmp_path):
    path = write(tmp_path / "config.toml", text)
    with pytest.raises(CommandError) as raised:
        load(tmp_path)
    said = str(raised.value)
    assert said.startswith(str(path)) and message in said and raised.value.code == Exit.USAGE
    assert "0123456789" not in said and path.read_text() == text


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("TINYREN_PAGE_PORT", "many", "TINYREN_PAGE_PORT: page.port: got 'many', wanted a whole number"),
        ("TINYREN_PAGE_PROT", "1", "TINYREN_PAGE_PROT: unknown setting 'page.prot'; did you mean page.port?"),
        ("TINYREN_CHAIN_RPC", "secret-0123456789", "TINYREN_CHAIN_RPC: chain.rpc: got a value that is not shown"),
    ],
)
def test_a_wrong_variable_is_told_by_its_name(variable, text, message, tmp_path):
    with pytest.raises(CommandError) as raised:
        load(tmp_path, **{variable: text})
    assert str(raised.value).startswith(message) and "0123456789" not in str(raised.value)


def test_variables_of_other_things_are_left_alone(tmp_path):
    assert load(tmp_path, TINYREN_CACHE="x", TINYREN_STARTED="1.5", PAGE_PORT="1").values == load(tmp_path).values


def test_a_variable_gives_lists_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "k", "")
    values = load(tmp_path, TINYREN_PAGE_NAMES="a, b.local", TINYREN_CHAIN_KEY_FILE="k", TINYREN_SITE_BOARDS="").values
    assert (values["page.names"], values["chain.key_file"], values["site.boards"]) == (["a", "b.local"], "k", [])


def test_a_files_path_is_relative_to_the_file(tmp_path):
    write(tmp_path / "keys/payer.key", "")
    write(tmp_path / "config.toml", '[chain]\nkey_file = "keys/payer.key"\n')
    assert load(tmp_path).options()["key"] == tmp_path / "keys/payer.key"


@pytest.mark.parametrize("text", ["page.port", "=1", "page.prot=1", "page.port=x"])
def test_an_option_set_that_is_no_setting_is_refused(text, tmp_path):
    with pytest.raises(CommandError) as raised:
        load(tmp_path, None, configuration.assignments([text]))
    assert str(raised.value).startswith("--set: ") and raised.value.code == Exit.USAGE


def test_what_nobody_chose_is_left_to_up(tmp_path):
    assert set(load(tmp_path).options().values()) == {None}
    write(tmp_path / "config.toml", "[site]\nboards = []\nworkers = 2\n")
    assert (load(tmp_path).options()["boards"], load(tmp_path).options()["workers"]) == ([], 2)


def test_a_template_says_every_setting_and_changes_none(tmp_path):
    write(tmp_path / "config.toml", template({PORT: 9000}))
    found = load(tmp_path)
    assert {name for name in found.origins if found.is_set(name)} == {PORT} and found.values[PORT] == 9000
    uncommented = [line[2:] if " = " in line else line for line in template({}).splitlines()]
    read = tomllib.loads("\n".join(line for line in uncommented if not line.startswith("#")))
    assert {f"{section}.{key}" for section in read for key in read[section]} == {one.name for one in SETTINGS}


def test_secrets_are_shown_as_set_and_nothing_else(tmp_path, capsys, monkeypatch):
    secrets = {one.variable: "https://user:0123456789@host" for one in SETTINGS if one.is_secret}
    for variable, text in secrets.items():
        monkeypatch.setenv(variable, text)
    for arguments in (["--origin"], ["--json"]):
        assert cli.main(["config", "show", str(tmp_path), *arguments]) == 0
        said = capsys.readouterr().out
        assert "0123456789" not in said and said.count("set") >= len(secrets) > 0


def test_config_show_says_every_setting_and_its_origin(tmp_path, capsys):
    write(tmp_path / "config.toml", "[page]\nport = 1001\n")
    assert cli.main(["config", "show", str(tmp_path), "--origin"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(SETTINGS) and f"page.port = 1001  # {tmp_path}/config.toml:2" in lines
    assert cli.main(["config", "show", str(tmp_path), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["settings"]
    assert [row["name"] for row in rows] == [one.name for one in SETTINGS]


def test_the_document_of_the_settings_is_that_of_the_table():
    assert (ROOT / "docs/configuration.md").read_text() == config_commands.markdown()


def test_every_default_is_one_of_its_settings_values():
    for one in SETTINGS:
        assert type(one.default) is one.kind.type and (one.default in ("", []) or one.kind.fits(one.default)), one.name
        assert one.says.endswith(".") and len(encode(one.default)) < 80
    assert len({one.variable for one in SETTINGS}) == len(SETTINGS)


@settings(derandomize=True, max_examples=150, deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet="[]page.ort=\n\"'123 #,{}", max_size=60).map(str.encode))
def test_foreign_bytes_are_a_configuration_or_refused(tmp_path_factory, content):
    site = tmp_path_factory.mktemp("site")
    (site / "config.toml").write_bytes(content)
    try:
        assert set(load(site).values) == {one.name for one in SETTINGS}
    except CommandError as error:
        assert error.code == Exit.USAGE and str(error).startswith(str(site))
    assert (site / "config.toml").read_bytes() == content and len(list(site.iterdir())) == 1


def test_a_configuration_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "config.toml").write_bytes(bytes(configuration.MAX_FILE_BYTES + 1))
    with pytest.raises(CommandError, match="got over"):
        load(tmp_path)


def test_the_systems_gateway_has_its_configuration_in_etc():
    assert configuration.folder_of(Path("/var/lib/tinyren")) == Path("/etc/tinyren")
    assert configuration.folder_of(Path("site")) == Path("site")


def test_up_does_what_the_files_say_and_names_the_line_that_a_made_site_refuses(tmp_path, capsys):
    write(tmp_path / "config.toml", "[site]\nepoch_seconds = 7\n")
    assert cli.main(["up", "--site", str(tmp_path)]) == Exit.USAGE
    assert "got epoch-seconds 7, window-seconds 5" in capsys.readouterr().err
    site_file.write(tmp_path, site_file.Site(boards=[], epoch_seconds=10))
    assert cli.main(["up", "--site", str(tmp_path)]) == Exit.REFUSED
    said = capsys.readouterr().err
    assert "epoch_seconds: got 7, but this site was made with 10; take it out of" in said
    assert f"{tmp_path}/config.toml:2, or name another --site" in said
