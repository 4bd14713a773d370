"""A port for a server that a test starts later."""

import contextlib
import random
import socket

FIRST, LAST = 10_000, 32_767  # below those that Linux gives to who asks for any: nobody gets it by chance meanwhile


def free_port():
    """One of this machine's at which nothing listens."""
    while True:
        port = random.SystemRandom().randint(FIRST, LAST)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
