"""Who may do what at the site's mosquitto, as its files and commands say it; it asks and starts nothing.

Rules:
1. The gateway may use everything, an oracle tinyren/oracle/# alone, Home Assistant may read what is told to it.
2. A device that has an account, whose user is its id, may send its own UP topics and read its own DOWN topics.
3. A client without an account may do so too at a broker that is open; at another it may send STRANGER_UP and read
   STRANGER_DOWN of the id that it takes as its client id: what a device needs to be bound.
4. Which devices have an account is the plugin's, changed by commands while the broker runs. What an account may is one
   pattern of the ACL file for all, so a site of 4,096 devices holds no list of topics.
Source: mosquitto.conf(5); mosquitto 2.0, plugins/dynamic-security (its file, its commands on $CONTROL).
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GATEWAY = "gateway"
HOME_ASSISTANT = "homeassistant"
CONTROL_TOPIC = "$CONTROL/dynamic-security/v1"
RESPONSE_TOPIC = CONTROL_TOPIC + "/response"
STRANGER_UP = ("announce", "journal", "bound", "gone")
STRANGER_DOWN = ("bind", "release", "identify", "account")
UP = (
    *STRANGER_UP,
    *("entered", "heartbeat", "late"),
    *("reveal", "update", "part", "edil"),
    *("installed", "want", "output"),
)
DOWN = (
    *STRANGER_DOWN,
    *("ack", "late_ack", "samples", "challenge"),
    *("enrol", "round", "label", "taken"),
    *("trust", "manifest", "chunk"),
)
ITERATIONS = 101  # mosquitto's own number; the passwords are random or derived, 192 bits and more
MAX_COMMANDS = 32  # each takes 4 ms with 1,000 accounts, in which the broker does nothing else
_HARMLESS = ("Client already exists", "Client not found")
_DEFAULT_ACCESS = {"publishClientSend": False, "publishClientReceive": False, "subscribe": False, "unsubscribe": True}


def acl_file(oracles: Sequence[str], is_open: bool) -> str:
    """Before the first `user`: clients without an account. `pattern` holds for everyone; %c client id, %u user."""
    lines = ["topic read tinyren/beacon"]
    lines += [f"user {GATEWAY}", "topic readwrite #", "topic readwrite $CONTROL/dynamic-security/#"]
    for name in oracles:
        lines += [f"user {name}", "topic readwrite tinyren/oracle/#"]
    lines += [f"user {HOME_ASSISTANT}", "topic read homeassistant/#", "topic write homeassistant/status"]
    lines += ["topic read tinyren-home/#", "pattern read tinyren/beacon"]
    up, down = (UP, DOWN) if is_open else (STRANGER_UP, STRANGER_DOWN)
    for variable, writes, reads in (("%c", up, down), ("%u", UP, DOWN)):
        lines += [f"pattern write tinyren/{variable}/{name}" for name in writes]
        lines += [f"pattern read tinyren/{variable}/{name}" for name in reads]
    return "\n".join(lines) + "\n"


def password_line(user: str, password: str, salt: bytes) -> str:
    """A line of mosquitto's password file, format 7: PBKDF2 with SHA-512."""
    return f"{user}:$7${ITERATIONS}${_text(salt)}${_text(_hash(password, salt))}\n"


def plugin_file(passwords: Mapping[str, str], salts: Iterable[bytes]) -> str:
    """The plugin's file with these accounts and no right: it leaves every topic to the ACL file, and strangers too.

    Args:
        passwords: by user. salts: one each, 12 bytes.
    """
    clients = [
        {
            "username": user,
            "password": _text(_hash(password, salt)),
            "salt": _text(salt),
            "iterations": ITERATIONS,
            "roles": [],
        }
        for (user, password), salt in zip(passwords.items(), salts, strict=False)
    ]
    return json.dumps({"defaultACLAccess": _DEFAULT_ACCESS, "clients": clients, "groups": [], "roles": []})


def commands(have: Iterable[str], wanted: Mapping[str, str]) -> list[bytes]:
    """Messages for CONTROL_TOPIC, from users that there are to those wanted; one who is taken off is disconnected."""
    users = set(have)
    gone = [{"command": "deleteClient", "username": user} for user in sorted(users - wanted.keys())]
    new = [
        {"command": "createClient", "username": user, "password": password}
        for user, password in wanted.items()
        if user not in users
    ]
    both = gone + new
    parts = [both[at : at + MAX_COMMANDS] for at in range(0, len(both), MAX_COMMANDS)]
    return [json.dumps({"commands": part}).encode() for part in parts]


def refusals(response: bytes) -> list[str]:
    """What the plugin did not do, in words; nothing for a message that is no answer of it."""
    try:
        answers: Any = json.loads(response)["responses"]
        failed = [answer for answer in answers if answer.get("error", _HARMLESS[0]) not in _HARMLESS]
        return [f"{answer.get('command')}: {answer['error']}" for answer in failed]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
