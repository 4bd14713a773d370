"""A gateway whose computer gets other addresses, in a network of its own: `unshare -rn python -m tests.lan_scene DIR`.

Prints one JSON object: what the network is told and the certificate names, before and after; what was said.
"""

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

from gateway.configuration.settings import SETTINGS
from gateway.lan import certificates, mdns, tls
from gateway.site.lan import Lan

FIRST, SECOND, SIXTH = "198.51.100.7", "198.51.100.8", "2001:db8::7"
OWN = "0x" + "ab" * 20


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def told(site):
    """The addresses that the network is told; asked again until there is an answer."""
    for _ in range(20):
        if here := [one for one in mdns.find(0.5, "127.0.0.1") if one.site == site.name]:
            return list(here[0].addresses)
    return []


def main(folder):
    ip("link", "set", "lo", "up")
    ip("addr", "add", f"{FIRST}/24", "dev", "lo")
    ip("addr", "add", "fe80::7/64", "dev", "lo")
    values = {one.name: one.default for one in SETTINGS} | {
        "tls.listen": "0.0.0.0:8883",
        "page.tls_listen": "[::]:8443",
    }
    reloads = []
    lan = Lan(folder, values, lambda: reloads.append(1))
    ca = (folder / tls.FOLDER / tls.CA).read_bytes()
    with ExitStack() as ends:
        lan.announce(OWN, SimpleNamespace(port=8420, call=lambda task: task()), ends)
        found = {"before": seen(folder), "said_before": lan.turn()}
        ip("addr", "del", f"{FIRST}/24", "dev", "lo")
        ip("addr", "add", f"{SECOND}/24", "dev", "lo")
        ip("addr", "add", f"{SIXTH}/128", "dev", "lo")
        later_s = time.monotonic() + 61
        found |= {"said": lan.turn(later_s), "after": seen(folder)}
        announced = lan._announcing._announced
        found |= {"said_after": lan.turn(later_s + 61), "is_told_once": lan._announcing._announced is announced}
    same = (folder / tls.FOLDER / tls.CA).read_bytes() == ca
    print(json.dumps(found | {"reloads": len(reloads), "same_authority": same}))


def seen(folder):
    return {"told": told(folder), "names": [name for name in certificates.names_of(tls.load(folder).leaf)]}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
