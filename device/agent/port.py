"""The names of `_tinyren` on CPython, with a TCP connection as the link and a file as the store; refuses to block.

On a board this module does not exist: `_tinyren` itself is the port. Signatures come from libsecp256k1 as in the
firmware, so the same key and digest give the same bytes: by packages or, where `tinyren flash` brought the agent, ours.
"""

import errno
import fcntl
import os
import platform
import select
import socket
import ssl
import time

from ..native import edil
from ..native.shared import BROUGHT
from . import ticks

if BROUGHT.exists():
    from ..native import curve
else:
    from ..native import packaged_curve as curve

SECRET_MODE = 0o600
NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Port:
    """A link to a broker at (host, port number); it connects when there is something to write.

    BOARD, CORE and VERSION are text, as the device announces them. tls: an ssl.SSLContext that says whom to trust, or
    None for a link in the clear. refusal: why the broker's certificate was not taken, text; None as long as it was.
    """

    def __init__(self, host: str, number: int, board: str = "cpython", version: str = "0.1.0", tls=None):
        self.BOARD = board
        self.CORE = platform.machine() or "unknown"
        self.VERSION = version
        self.refusal = None
        self._address = (host, number)
        self._tls = tls
        self._socket = None
        self._is_connecting = False
        self._is_greeting = False  # TCP stands, TLS does not yet

    def ticks_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000 & (ticks.PERIOD - 1)

    def ticks_us(self) -> int:
        return time.monotonic_ns() // 1000 & (ticks.PERIOD - 1)

    def idle(self, ms: int):
        """Sleep until the link has something to read, or ms passed."""
        if self._socket is None:
            time.sleep(ms / 1000)
        elif not self._has_decrypted():
            select.select([self._socket], [self._socket] if self._is_connecting else [], [], ms / 1000)

    def entropy(self, buffer):
        buffer[:] = os.urandom(len(buffer))

    keccak256 = staticmethod(curve.keccak256)
    pubkey = staticmethod(curve.pubkey)
    sign = staticmethod(curve.sign)
    ecdh = staticmethod(curve.ecdh)
    recover = staticmethod(curve.recover)
    encrypt = staticmethod(edil.encrypt)
    add_moments = staticmethod(edil.add_moments)

    def link_read(self, buffer) -> int:
        """Read what is there into buffer -> bytes read, 0 if nothing. Raises OSError: the connection is gone."""
        if self._socket is None or self._is_connecting or self._is_greeting:
            return 0
        try:
            size = self._socket.recv_into(buffer)
        except NOT_NOW:
            return 0
        except OSError:
            self.close()
            raise
        if not size:
            self.close()
            raise ConnectionResetError("link: got its end, wanted bytes")
        return size

    def link_write(self, data) -> int:
        """Write what fits -> bytes written, 0 while connecting. Raises OSError: no connection, or it is gone."""
        try:
            if self._socket is None:
                self._connect()
            if self._is_connecting and not self._is_connected():
                return 0
            if self._is_greeting:
                self._greet()
            return self._socket.send(data)
        except NOT_NOW:
            return 0
        except OSError:
            self.close()
            raise

    def close(self):
        """Drop the connection without a word, as a power cut does."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._is_greeting = False

    def _connect(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small messages that wait for answers
        self._is_connecting = True
        code = self._socket.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, os.strerror(code))

    def _is_connected(self):
        if not select.select([], [self._socket], [], 0)[1]:
            return False
        code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self._is_connecting = False
        if self._tls:
            self._socket = self._tls.wrap_socket(
                self._socket, server_hostname=self._address[0], do_handshake_on_connect=False
            )
            self._is_greeting = True
        return True

    def _greet(self):
        try:
            self._socket.do_handshake()
        except ssl.SSLCertVerificationError as error:
            self.refusal = error.verify_message
            raise
        self.refusal = None
        self._is_greeting = False

    def _has_decrypted(self):
        """Whether bytes wait in the TLS layer, of which select knows nothing."""
        return bool(self._tls) and not self._is_connecting and self._socket.pending() > 0


class FileMemory:
    """A file as a byte-writable store's memory: each write is on the disk when it returns.

    Raises:
        BlockingIOError: another process has the file: two devices with one key would break the count of boots.
    """

    size = 1024
    erase_bytes = 0

    def __init__(self, path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, SECRET_MODE)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(self._file).st_size < self.size:
            os.ftruncate(self._file, self.size)

    def read(self, addr: int, buffer):
        buffer[:] = os.pread(self._file, len(buffer), addr)

    def write(self, addr: int, data):
        os.pwrite(self._file, data, addr)
        os.fsync(self._file)

    def erase(self, addr: int):
        raise NotImplementedError("a file needs no erasing")

    def close(self):
        os.close(self._file)
