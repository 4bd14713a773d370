"""A snapshot of a site as status.Status gives it, for tests of what is made of one."""

DEVICE = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"
OTHER = "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"
NOW_MS = 1_800_000_000_000


def device(identity=DEVICE, **changes):
    """A row of a bound device that was heard 2 s ago."""
    row = {
        "id": identity,
        "name": "",
        "board": "qemu_virt_rv32",
        "firmware": "0.1.0",
        "deed": 1,
        "heartbeats": 40,
        "inferences": 7,
        "last_heartbeat_ms": NOW_MS - 2000,
        "earned_wei": "1500000000000000000",
        "offline": {"budget_hours": 23, "late": 3, "kept": 3, "dropped": 2, "missing": 1, "low": ""},
    }
    return row | changes


def offline(hours, dropped=0):
    return {"budget_hours": hours, "late": 0, "kept": 0, "dropped": dropped, "missing": 0, "low": ""}


def snapshot(*devices, **changes):
    epoch = {"epoch": 4, "state": "settled", "availability": {DEVICE: 204}}
    whole = {
        "devices": list(devices) or [device()],
        "epochs": [epoch, {"epoch": 5, "state": "closing"}, {"epoch": 6, "state": "open"}],
        "rejected": {"replay": 5, "bad_signature": 1},
        "chain": {"id": 1331, "block": 77},
        "edil": [{"state": "open"}, {"state": "open"}],
        "jobs": [{"state": 'a "quoted"\nstate\\'}],
        "window_ms": 5000,
    }
    return whole | changes
