"""The addresses by which others reach this computer now; leaves out those that do not last or do not suffice.

Left out of IPv6: addresses of one link, which mean nothing without an interface; temporary ones, which are for going
out (RFC 8981) and change each day; those that are deprecated, not ours yet, or a duplicate.
Source: Linux, net/ipv6/addrconf.c (if6_seq_show), include/uapi/linux/if_addr.h.
"""

import ipaddress
import socket
from pathlib import Path

import psutil

IF_INET6 = Path("/proc/net/if_inet6")
GLOBAL_SCOPE = 0x00
TEMPORARY, DUPLICATE, DEPRECATED, TENTATIVE = 0x01, 0x08, 0x20, 0x40


def own_addresses() -> tuple[str, ...]:
    """IPv4, then IPv6, each sorted; loopback's are among them where the system names them."""
    interfaces = psutil.net_if_addrs().values()
    old = {item.address for found in interfaces for item in found if item.family == socket.AF_INET}
    return (*sorted(old), *lasting(IF_INET6.read_text() if has_ipv6() else ""))


def has_ipv6() -> bool:
    """Whether the kernel speaks it."""
    return IF_INET6.exists()


def lasting(text: str) -> tuple[str, ...]:
    """The addresses of /proc/net/if_inet6 that others can be told; lines: address index prefix scope flags name."""
    found = set()
    for address, _, _, scope, flags, *_ in (line.split() for line in text.splitlines()):
        is_passing = int(flags, 16) & (TEMPORARY | DUPLICATE | DEPRECATED | TENTATIVE)
        if int(scope, 16) == GLOBAL_SCOPE and not is_passing:
            found.add(str(ipaddress.IPv6Address(bytes.fromhex(address))))
    return tuple(sorted(found))
