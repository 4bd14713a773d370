"""A site made up for the page's tests; `python -m tests.web_demo [PORT]` shows it, and nothing in it is real."""

import sys
import threading
from typing import Any

from gateway.web.app import app
from gateway.web.rpc import RpcError
from gateway.web.serve import serve

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

    def changed(self, after: int, timeout_s: float) -> int:
        with self._news:
            self._news.wait_for(lambda: self._version > after, timeout_s)
            return self._version

    def rpc(self, method: str, params: Any) -> Any:
        if method == "eth_chainId":
            return "0x539"
        if method == "echo":
            return params
        if method == "crash":
            raise KeyError("secret")
        raise RpcError(-32601, f"the method {method[:40]} is not known", {"method": method[:40]})


def empty_snapshot() -> dict[str, Any]:
    lists: dict[str, Any] = {name: [] for name in ("devices", "epochs", "claims", "owners", "notes")}
    return {**lists, "rejected": {}, "site": "site", "chain": {"id": 1337, "block": 12}, "window_ms": 5_000}


def settled_snapshot(now_ms: int = NOW_MS) -> dict[str, Any]:
    """Three settled epochs and one that is open; the second board misses windows."""
    missed = {1: {3, 4, 11, 17, 18}, 2: set(range(12))}
    devices = [
        {
            "id": identity,
            "ren": "0xai_Anm-Zn753LusVaBilc6HCwcCm_zbLc4o2VnygVsW-BeY",
            "board": board,
            "core": core,
            "firmware": "1.25.0",
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
