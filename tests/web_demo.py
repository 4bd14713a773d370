"""A site made up for the page's tests; `python -m tests.web_demo [PORT]` shows it, and nothing in it is real."""

import re
import sys
import threading
from typing import Any

from gateway.web import pages, render
from gateway.web.app import app
from gateway.web.rpc import RpcError
from gateway.web.serve import serve
from gateway.web.views.common import common

NOW_MS = 1_700_000_000_000
REWARD_WEI = 1_458_508_188_386_985_115
BOARDS = [
    ("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "qemu_mps2_an385", "Cortex-M3", 1, 1, "tmp105+lsm303dlhc"),
    ("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF", "qemu_mps2_an500", "Cortex-M7", 1, 2, "tmp105+lsm303dlhc"),
    ("0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69", "qemu_virt_rv32", "RV32IMC", 2, 1, "recorded over the link"),
]
OWNERS = ["0x1efF47bc3a10a45D4B230B5d10E37751FE6AA718", "0xe1AB8145F7E55DC933d51a18c793F901A3A0b276"]
SIGNERS = ["0xE57bFE9F44b819898F47BF37E5AF72a0783e1141", "0xd41c057fd1c78805AAC12B0A94a405c0461A6FBb"]
AVAILABILITY = [(255, 255, 0), (255, 233, 255), (255, 148, 255)]


JOB = {
    "name": "quiet", "state": "running", "why": "", "document": "bafy" + "a" * 55, "step": 1, "steps": [1, "100%"],
    "counts": {"done": 1, "waiting": 2}, "failed": 0, "finished": False, "workload": None,
    "sequences": [{"board": "qemu_virt_rv32", "kind": "model", "sequence": 7}],
}  # fmt: skip
ROUND = {
    "digest": "ab" * 32, "round": 7, "kind": 2, "ring": 1024, "windows": 32, "k_min": 8, "state": "closed", "why": "",
    "confidentiality": "encrypted-on-device", "data_owner": "cd" * 20, "shares": [1],
    "devices": [f"{n:02}" * 20 for n in range(10, 19)], "refused": {"44" * 20: "late"},
    "said": {"11" * 20: "joined", "22" * 20: "joined", "33" * 20: "model"},
}  # fmt: skip
TRUSTED = {
    "digest": "ef" * 32, "name": "meters", "values": 12, "k_min": 2, "state": "open", "devices": [],
    "confidentiality": "gateway-trusted",
}  # fmt: skip
DETAILS: dict[str, dict[str, Any]] = {
    "device": {
        "history": [{"at_ms": NOW_MS + 5_000 * n, "after_ms": 90 + n * 37 % 60 if n % 9 else None} for n in range(40)],
        "outputs": [
            {"count": n, "at_ms": NOW_MS, "values": [(n * 31 + m * 17) % 256 - 128 for m in range(16)]}
            for n in range(40)
        ],
        "signals": {
            "description": "load, memory, cpu and temperature of the host",
            "sample_ms": 250,
            "samples": [[6_400 + n % 7 * 16, 200 + n * 13 % 90, 900 + n % 11, 500 + n * 7 % 300] for n in range(120)],
        },
        "spans": [(1, 1, 480), (2, 1, 34), (2, 36, 212)],
        "updates": [{"kind": "model", "sequence": 7, "state": "confirmed", "reason": "", "at_ms": NOW_MS - 60_000}],
    },
    "job": {
        "devices": [
            {"id": BOARDS[0][0], "board": BOARDS[0][1], "online": True, "phase": "done", "reason": ""},
            {
                "id": BOARDS[2][0],
                "board": BOARDS[2][1],
                "online": False,
                "phase": "waiting",
                "reason": "it is not online",
            },
        ]
    },
    "storage": {
        "pins": [{"cid": "bafybei" + letter * 52, "bytes": 4_096 * n * n} for n, letter in enumerate("abcdef", 1)],
        "buckets": [
            {"name": "buckets", "owner": OWNERS[0], "keys": 3, "readers": None, "is_more": False},
            {"name": "jobs", "owner": OWNERS[0], "keys": 12, "readers": 2, "is_more": False},
        ],
    },
    "settings": {
        "settings": [
            {"name": "page.port", "value": 8420, "origin": "default", "help": "the page's port"},
            {"name": "page.listen", "value": "127.0.0.1", "origin": "config.toml:3", "help": "where the page listens"},
            {"name": "broker.password", "value": "set", "origin": "TINYREN_BROKER_PASSWORD", "help": ""},
        ],
        "about": {"Gateway": OWNERS[0], "Chain": 1337},
    },
}


class DemoSource:
    """A source whose snapshot the test sets; `set` is what wakes the page."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self._snapshot, self._version, self._news = snapshot, 0, threading.Condition()

    def snapshot(self) -> dict[str, Any]:
        return self._snapshot

    def set(self, **fields: Any) -> None:
        with self._news:
            self._snapshot = {**self._snapshot, **fields}
            self._version += 1
            self._news.notify_all()

    def fail(self) -> None:
        """From now on there is no snapshot."""
        with self._news:
            self._snapshot = None
            self._version += 1
            self._news.notify_all()

    def changed(self, after: int, timeout_s: float) -> int:
        with self._news:
            self._news.wait_for(lambda: self._version > after, timeout_s)
            return self._version

    def detail(self, what: str, name: str = "") -> dict[str, Any] | None:
        if what in ("device", "job"):
            rows = self._snapshot[{"device": "devices", "job": "jobs"}[what]]
            row = next((row for row in rows if name.lower() in (row.get("id", "").lower(), row.get("name"))), None)
            return row and DETAILS[what] | row
        return DETAILS[what]

    def rpc(self, method: str, params: Any) -> Any:
        if method == "eth_chainId":
            return "0x539"
        if method == "echo":
            return params
        if method == "crash":
            raise KeyError("secret")
        raise RpcError(-32601, f"the method {method[:40]} is not known", {"method": method[:40]})


def shown(path: str, snapshot: dict[str, Any], now_ms: int = NOW_MS) -> str:
    """The HTML of a page's main part without a server."""
    if path in pages.PLAIN:
        template, view = pages.PLAIN[path]
        context = view(snapshot, {}, now_ms)
    else:
        route = next(route for route in pages.DETAILED if path.startswith(route.partition("{")[0]))
        what, template, view = pages.DETAILED[route]
        context = view(snapshot, DemoSource(snapshot).detail(what, path.rpartition("/")[2]), now_ms)
    found = render.templates().get_template(template)
    return found.render(layout="part.html", path=path, number=0, **common(snapshot, now_ms) | context)


def words(html: str) -> str:
    """The text of HTML, spaces joined."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def empty_snapshot() -> dict[str, Any]:
    lists: dict[str, Any] = {name: [] for name in ("devices", "epochs", "claims", "owners", "notes", "jobs", "edil")}
    return {**lists, "rejected": {}, "site": "site", "chain": {"id": 1337, "block": 12}, "window_ms": 5_000}


def settled_snapshot(now_ms: int = NOW_MS) -> dict[str, Any]:
    """Three settled epochs and one that is open; the second board misses windows."""
    missed = {1: {3, 4, 11, 17, 18}, 2: set(range(12))}
    devices = [
        {
            "id": identity,
            "name": "pump hall, left" if index == 1 else "",
            "ren": "0xai_Anm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeY",
            "board": board,
            "core": core,
            "firmware": "0.1.0+6d633904",
            "model": "bafkreihdwdcef",
            "deed": deed,
            "slot": slot,
            "source": source,
            "heartbeats": 43 - 5 * index,
            "first_heartbeat_s": 4.2,
            "inferences": 1_248 - 31 * index,
            "last_heartbeat_ms": now_ms - 2_000 - index * 5_500,
            "offline": {
                "budget_hours": 23 - 9 * index,
                "late": 61 * index,
                "kept": 61 * index,
                "dropped": 2 * index,
                "missing": index // 2,
                "low": "it says 5 h, wanted at least 6" if index == 2 else "",
            },
            "journals": [
                {
                    "boot": 3,
                    "reason": "watchdog",
                    "lines": ["812 link: timeout", "0 reset: watchdog"],
                    "received_ms": now_ms - 90_000,
                }
            ]
            if index == 1
            else [],
            "recent": [0 if window in missed.get(index, ()) else 1 for window in range(24)],
            "earned_wei": str(sum(row[index] for row in AVAILABILITY) * REWARD_WEI // (255 * (4 if deed == 1 else 1))),
        }
        for index, (identity, board, core, deed, slot, source) in enumerate(BOARDS)
    ]
    epochs = [
        {
            "epoch": number,
            "windows": 12,
            "windows_open": 12,
            "state": "settled",
            "signers": SIGNERS,
            "availability": {board[0]: value for board, value in zip(BOARDS, values, strict=True)},
            "root": f"0x{number}21f2c8ae913ea6e594cd2b2e9d18925a3944fa36ab6888ee536ae8b57ae30",
            "tx": f"0x{number}bc0e02bc3828e9cb8dfa705e1c6793048b7e8233bd1f153b7f4bc5e2befe18f",
            "minted_wei": str(((values[0] + values[1]) // 4 + values[2]) * REWARD_WEI // 255),
        }
        for number, values in enumerate(AVAILABILITY, 1)
    ]
    open_epoch = {
        "epoch": 4,
        "windows": 12,
        "windows_open": 7,
        "state": "open",
        "availability": {},
        "root": None,
        "tx": None,
        "signers": [],
        "minted_wei": None,
    }
    earned = [str(sum(int(d["earned_wei"]) for d in devices if d["deed"] == deed)) for deed in (1, 2)]
    return {
        **empty_snapshot(),
        "devices": devices,
        "epochs": [*epochs, open_epoch],
        "chain": {"id": 1337, "block": 1_204},
        "owners": [
            {"owner": owner, "deeds": [deed], "earned_wei": wei, "claimed_wei": wei}
            for owner, deed, wei in zip(OWNERS, (1, 2), earned, strict=True)
        ],
        "claims": [
            {
                "deed": deed,
                "owner": OWNERS[deed - 1],
                "amount_wei": earned[deed - 1],
                "tx": f"0x{deed}da705e1c6793048b7e8233bd1f153b7f4bc5e2befe18fb{deed:017}",
            }
            for deed in (1, 2)
        ],
        "windows": [
            {"epoch": 1 + n // 12, "window": n % 12, "answered": 3 - (n in missed[1] | {31, 32})} for n in range(43)
        ],
        "oracles": {"addresses": [*SIGNERS, OWNERS[0]], "threshold": 2},
        "stores": {
            "backup": {"epoch": 3, "cid": "bafybei" + "b" * 52, "bytes": 18_433},
            "evidence": [{"epoch": n, "cid": "bafybei" + str(n + 1) * 52} for n in (1, 2, 3)],
        },
        "jobs": [JOB],
        "edil": [ROUND],
        "rejected": {"stale beacon": 3, "sequence not greater": 1},
        "notes": ["The chain is embedded (py-evm); its blocks are this gateway's own."],
    }


if __name__ == "__main__":
    import time

    source = DemoSource(settled_snapshot(time.time_ns() // 1_000_000))
    server = serve(app(source), int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(server.url, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()
