"""The settings of a gateway: one table, from which parsing, messages and docs/configuration.md come. Reads nothing.

A setting is named SECTION.KEY. Its value is text, a whole number, truth or a list of text, as TOML has them; "" and 0
mean that it is not set, where the default is that. What is secret is shown as "set" and nothing else.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from boards.board import DEFAULT_BOARDS
from gateway.configuration import toml_values
from gateway.labels import payload
from gateway.monitoring.logs import FORMATS

MAX_WORKERS = 8
MAX_WINDOW_S = 86_400
MAX_DEVICES = 64
DEFAULT_PORT = 8420
LOOPBACK = "127.0.0.1"
SHOWN_CHARACTERS = 60
WEB_SCHEMES = ("http://", "https://")
_SERIAL = re.compile("auto|/[^@,]+(@[1-9][0-9]{2,6})?")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


class Kind(NamedTuple):
    """What a value must be: its type in TOML, `wanted` in words, whether a value of that type `fits`."""

    type: type
    wanted: str
    fits: Callable[[Any], bool] = lambda _: True


@dataclass(frozen=True)
class Setting:
    """One row of the table. `says` is one sentence. `option` is what `tinyren up` calls it, "" if it has none."""

    name: str
    kind: Kind
    default: Any
    says: str
    option: str = ""
    is_secret: bool = False

    @property
    def section(self) -> str:
        return self.name.partition(".")[0]

    @property
    def key(self) -> str:
        return self.name.partition(".")[2]

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"TINYREN_{self.section}_{self.key}".upper()


def split_listen(text: str) -> tuple[str, int]:
    """(address, port) of ADDRESS:PORT, an IPv6 address in brackets. ValueError: it is another form."""
    address, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError("port")
    if ":" in address and not (address.startswith("[") and address.endswith("]")):
        raise ValueError("address")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)


def _is_listen(text: str) -> bool:
    try:
        return not text or bool(split_listen(text))
    except ValueError:
        return False


def _is_page(text: str) -> bool:
    try:
        return not text or bool(payload.check_page(text))
    except payload.LabelError:
        return False


def _is_address(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def whole(least: int, most: int) -> Kind:
    return Kind(int, f"a whole number from {least} to {most}", lambda value: least <= value <= most)


TEXT = Kind(str, "text")
TRUTH = Kind(bool, "true or false")
FILE = Kind(str, "the path of a file that is there")
LIST = Kind(list, "a list of text")
PORT = whole(1, 65535)
NAMES = Kind(list, "a list of host names", lambda names: all(_NAME.fullmatch(name) for name in names))
ADDRESS = Kind(str, "an IP address of this machine, 0.0.0.0 for all", _is_address)
LISTEN = Kind(str, "ADDRESS:PORT, for instance 0.0.0.0:1883", _is_listen)
WEB = Kind(str, "http://... or https://...", lambda text: not text or text.startswith(WEB_SCHEMES))
PAGE = Kind(str, "https://HOST or https://HOST:PORT", _is_page)
PEERS = Kind(list, "a list of http://HOST:PORT", lambda urls: all(url.startswith(WEB_SCHEMES) for url in urls))

SERIAL = Kind(list, "a list of PATH, PATH@BAUD or auto", lambda ports: all(_SERIAL.fullmatch(port) for port in ports))
LOG_FORMAT = Kind(str, " or ".join(FORMATS), lambda text: text in FORMATS)
HOME_ASSISTANT = Kind(str, "own, always or never", lambda text: text in ("own", "always", "never"))

SETTINGS = (
    Setting("site.boards", LIST, list(DEFAULT_BOARDS), "Emulated boards that run here; [] for none.", "boards"),
    Setting("site.epoch_seconds", whole(1, MAX_WINDOW_S * 65535), 60,
            "Length of an epoch, fixed when the site is made.", "epoch_seconds"),
    Setting("site.window_seconds", whole(1, MAX_WINDOW_S), 5,
            "Length of a window, fixed when the site is made.", "window_seconds"),
    Setting("site.replay", FILE, "", "A recording that emulated sensors are told, not this host's readings.", "replay"),
    Setting("site.workers", whole(0, MAX_WORKERS), 0,
            "Processes that check heartbeats; 0: the gateway does it itself.", "workers"),
    Setting("page.port", PORT, DEFAULT_PORT, "The page's port; a free one if it is taken and was not set.", "port"),
    Setting("page.listen", ADDRESS, LOOPBACK,
            "The page's address; on another one than loopback it asks for the admin code."),
    Setting("page.tls_listen", LISTEN, "",
            "Where others open the page by TLS and the admin code, for instance 0.0.0.0:8443."),
    Setting("page.public_url", PAGE, "", "Where others find the page, as they type it; labels lead there."),
    Setting("page.proxy_listen", LISTEN, "",
            "Where a reverse proxy for page.public_url asks; whoever comes by it needs the admin code."),
    Setting("page.names", NAMES, [], "Host names under which the page may be asked for, besides its addresses."),
    Setting("broker.listen", LISTEN, "", "Where devices of the local network reach the broker; empty: loopback only."),
    Setting("broker.url", TEXT, "", "Another broker, mqtt://USER@HOST:PORT,... or mqtts://; empty: its own.", "mqtt",
            is_secret=True),
    Setting("broker.password_file", FILE, "", "With broker.url: the user's password.", "mqtt_password"),
    Setting("broker.ca_file", FILE, "", "With mqtts://: who signed the certificates, PEM.", "mqtt_ca"),
    Setting("binding.by_label", TRUTH, False,
            "The site binds no board of its own by itself; each waits for its label, as any other device does."),
    Setting("chain.rpc", WEB, "", "Settle on this chain (JSON-RPC); empty: the embedded one.", "rpc", is_secret=True),
    Setting("chain.key_file", FILE, "", "With chain.rpc: 64 hex digits, the funded key that pays for gas.", "key"),
    Setting("chain.r1_wei", whole(0, 10**19), 0,
            "What one R1 is worth in wei of the chain's coin: claims wait until gas is 5 % of them; 0: none waits."),
    Setting("cstore.url", TEXT, "", "Keys on a cluster, nats://HOST:PORT,.../NAME; empty: in the site.", "cstore",
            is_secret=True),
    Setting("cstore.owner", TEXT, "", "Whose store that must be; empty: this gateway's.", "cstore_owner"),
    Setting("cstore.credentials_file", FILE, "", "User and password, a line each, or .creds.", "cstore_credentials"),
    Setting("cstore.ca_file", FILE, "", "With tls://: who signs the servers' certificates.", "cstore_ca"),
    Setting("cstore.cert_file", FILE, "", "With tls://: this gateway's certificate.", "cstore_cert"),
    Setting("cstore.cert_key_file", FILE, "", "With tls://: the certificate's key.", "cstore_cert_key"),
    Setting("r1fs.peers", PEERS, [], "Gateways from which R1FS heals what is missing or damaged.", "peer"),
    Setting("tls.listen", LISTEN, "", "Where devices reach the broker by TLS, usually 0.0.0.0:8883; empty: nowhere."),
    Setting("tls.names", NAMES, [], "Host names and IPv4 addresses for the certificate, besides this computer's own."),
    Setting("tls.cert_file", FILE, "", "Another issuer's certificates (ACME's fullchain.pem); empty: the site's own."),
    Setting("tls.key_file", FILE, "", "With tls.cert_file: its key, PEM, without a passphrase."),
    Setting("mdns.announce", TRUTH, True, "Tell the local network where the broker is, if it listens there."),
    Setting("serial.ports", SERIAL, [],
            "Serial ports of boards without a network, as /dev/serial/by-id names them; auto: all of them.", "serial"),
    Setting("home_assistant.where", HOME_ASSISTANT, "own",
            "Tell Home Assistant of bound devices: at its own broker, always (another broker too) or never."),
    Setting("alerts.budget_hours", whole(0, 23), 6,
            "Warn when a device can be without us for less than so many hours; 0: never."),
    Setting("alerts.url", WEB, "", "Where alerts are posted to as JSON; empty: nowhere.", is_secret=True),
    Setting("log.format", LOG_FORMAT, "text", "A sentence a line, or a JSON object a line.", "log_format"),
)  # fmt: skip
BY_NAME = {setting.name: setting for setting in SETTINGS}
SECTIONS = tuple(dict.fromkeys(setting.section for setting in SETTINGS))


class Misfit(ValueError):
    """A value that a setting does not take; the message says field, got and wanted."""


def find(name: str) -> Setting:
    """The setting of this name. Misfit: there is none; the message names the nearest."""
    if name in BY_NAME:
        return BY_NAME[name]
    near = difflib.get_close_matches(name, BY_NAME, 1, 0.5)
    wanted = f"did you mean {near[0]}?" if near else "`tinyren config describe` lists all"
    raise Misfit(f"unknown setting {name[:SHOWN_CHARACTERS]!r}; {wanted}")


def check(setting: Setting, value: Any) -> Any:
    """The value, if it is one of the setting's. Misfit: it is not."""
    kind = setting.kind
    is_list = kind.type is list and isinstance(value, list) and all(type(item) is str for item in value)
    if (is_list or type(value) is kind.type is not list) and kind.fits(value):
        return value
    got = "a value that is not shown" if setting.is_secret else repr(value)[:SHOWN_CHARACTERS]
    raise Misfit(f"{setting.name}: got {got}, wanted {kind.wanted}")


def parse(setting: Setting, text: str) -> Any:
    """The value that a text of an option or a variable means; lists have commas. Misfit: none."""
    kind, value = setting.kind.type, text.strip()
    if kind is list:
        return check(setting, [item.strip() for item in value.split(",")] if value else [])
    if kind is int and value.isascii() and value.isdigit() and len(value) < 20:
        return check(setting, int(value))
    if kind is bool and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    return check(setting, value)


def shown(setting: Setting, value: Any) -> Any:
    """What may be shown of a value: of a secret only that it is set."""
    return ("set" if value else "") if setting.is_secret else value


def template(chosen: Mapping[str, Any]) -> str:
    """A config.toml: what is chosen as it is, every other setting as a comment with its default."""
    lines = [
        "# What this gateway does. What holds: tinyren config show --origin. What may be set: tinyren config describe."
    ]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for one in (one for one in SETTINGS if one.section == section):
            value = f"{one.key} = {toml_values.encode(chosen.get(one.name, one.default))}"
            lines += [f"# {one.says}", value if one.name in chosen else f"# {value}"]
    return "\n".join(lines) + "\n"
