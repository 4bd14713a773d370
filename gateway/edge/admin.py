"""Who may use a page that is not on loopback: a one-time admin code, and the sessions it opened. Keeps hashes only.

Rules:
1. There is no default password. A code is 60 random bits, printed once; what stays is scrypt (N 2^14, r 8, p 1) of it.
2. The first who signs in with a code burns it and gets a session of SESSION_S. A new code voids the one before.
3. Wrong codes are tried FREE times from an address, then after pauses (gateway/binding/tries.py). Counted for all
   together, a stranger in the network could keep everybody out.

Source: RFC 7914 (scrypt).
"""

import hashlib
import hmac
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gateway.binding.pending import Refused
from gateway.binding.tries import Tries
from gateway.database import Statement, open_or_say, write
from gateway.errors import CommandError

NAME = "admin.sqlite"
LOST = f"its {NAME} holds who is signed in; `tinyren gateway admin-code` makes a new code"
SESSION_S = 30 * 86_400
SESSIONS_MAX = 64
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: nothing that is read for something else
CODE_CHARACTERS = 12
_WRONG = "this is not the admin code, or it was used; `tinyren gateway admin-code` makes a new one"
_SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 32 << 20, "dklen": 32}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS code
    (one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS session (hash BLOB PRIMARY KEY, until_s INTEGER NOT NULL) STRICT;
"""


class Admin:
    """The tables in SITE/admin.sqlite, from any thread; other processes may have them open too."""

    def __init__(self, folder: Path) -> None:
        path = folder / NAME
        path.touch(mode=0o600)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_SCHEMA}")
        self._lock, self._tries = threading.Lock(), Tries()

    def close(self) -> None:
        self._database.close()

    def is_new(self) -> bool:
        """Whether nobody has, or had, a way in: there is neither a code nor a session."""
        with self._lock:
            rows = [self._database.execute(f"SELECT 1 FROM {name}").fetchone() for name in ("code", "session")]
        return not any(rows)

    def new_code(self, end_sessions: bool = False) -> str:
        """A code nobody can guess; the one before is void. CommandError: the disk is full, and nothing changed."""
        code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARACTERS))
        salt = secrets.token_bytes(16)
        statements: list[Statement] = [("INSERT OR REPLACE INTO code VALUES (1, ?, ?)", [(salt, _hash(code, salt))])]
        if end_sessions:
            statements.append(("DELETE FROM session", [()]))
        with self._lock:
            write(self._database, statements, _full())
        return "-".join(code[at : at + 4] for at in range(0, CODE_CHARACTERS, 4))

    def sign_in(self, text: str, address: str = "") -> str:
        """The token of a new session, for the code as a person typed it; the code is burned when this returns.

        Raises:
            Refused: another code, one that was used, or too many wrong ones before from that address.
        """
        counted, code = address.encode(), _read(text)
        with self._lock:
            self._tries.check(counted, time.monotonic())
            row = self._one_code()
        is_right = row is not None and hmac.compare_digest(_hash(code, row[0]), row[1])  # slow, so without the lock
        with self._lock:
            if not is_right or self._one_code() != row:
                self._tries.failed(counted, time.monotonic())
                raise Refused("code", _WRONG)
            self._tries.passed(counted)
            token, now_s = secrets.token_urlsafe(32), int(time.time())
            oldest = "SELECT hash FROM session ORDER BY until_s DESC LIMIT -1 OFFSET ?"
            keep = f"DELETE FROM session WHERE until_s < ? OR hash IN ({oldest})"
            session = (_digest(token), now_s + SESSION_S)
            statements: list[Statement] = [
                ("DELETE FROM code", [()]),
                ("INSERT INTO session VALUES (?, ?)", [session]),
                (keep, [(now_s, SESSIONS_MAX)]),
            ]
            write(self._database, statements, _full())
        return token

    def _one_code(self) -> tuple[bytes, bytes] | None:
        """Salt and hash of the code, None once it was used."""
        row: tuple[bytes, bytes] | None = self._database.execute("SELECT salt, hash FROM code").fetchone()
        return row

    def is_signed_in(self, token: str) -> bool:
        """Whether a session of this token stands."""
        with self._lock:
            row = self._database.execute("SELECT until_s FROM session WHERE hash = ?", (_digest(token),)).fetchone()
        return row is not None and row[0] >= time.time()


def open_admin(folder: Path, is_reached: bool, say: Callable[[str], None]) -> Admin:
    """The tables of a site; tells a code where others can reach the page (`is_reached`) and nobody has a way in."""
    admin = open_or_say(Admin, folder, LOST)
    if is_reached and admin.is_new():
        say(f"admin code, shown once: {admin.new_code()}")
    return admin


def _read(text: str) -> str:
    """The code as it was typed: small letters, spaces and dashes do not matter, nor O for 0 and I or L for 1."""
    letters = text.upper().replace("-", "").replace(" ", "")
    return letters.translate(str.maketrans("OIL", "011"))[: 2 * CODE_CHARACTERS]


def _hash(code: str, salt: bytes) -> bytes:
    return hashlib.scrypt(code.encode(errors="replace"), salt=salt, **_SCRYPT)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _full() -> CommandError:
    return CommandError("the disk is full: nothing was changed; free some space and try again")
