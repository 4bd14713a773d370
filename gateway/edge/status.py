"""`tinyren gateway status`: how a gateway is, from its page while it runs and from its files when it is stopped."""

from pathlib import Path
from typing import Any

from gateway import cli
from gateway.edge import running
from gateway.site import site_file
from gateway.site.site_file import Site


def gather(folder: Path) -> dict[str, Any]:
    """JSON values only; `running` says which fields mean now and which mean when it was stopped."""
    site, is_running = site_file.read(folder), running.is_running(folder)
    found: dict[str, Any] = {
        "version": cli.VERSION,
        "site": str(folder),
        "running": is_running,
        "page": "",
        "broker": "",
    }
    found |= {"gateway": "", "chain": "", **running.counts(folder), "bound": None, "silent": None, "notes": []}
    if site is None:
        return found
    found |= {"gateway": site.gateway, "chain": "another one" if site.chain_external else "embedded"}
    if is_running:
        found |= {"page": f"http://127.0.0.1:{site.page_port}/", "broker": _broker(site)}
        found |= _live(running.state(site))
    return found


def _broker(site: Site) -> str:
    return site.broker_url or f"127.0.0.1:{site.broker_port}"


def _live(state: dict[str, Any]) -> dict[str, Any]:
    bound = [row for row in state["devices"] if row["deed"]]
    silent = [row["id"] for row in bound if not any((row.get("recent") or [0])[-3:])]
    return {
        "devices": len(state["devices"]),
        "bound": len(bound),
        "silent": silent,
        "heartbeats": sum(row["heartbeats"] for row in state["devices"]),
        "rejected": state["rejected"],
        "chain": f"{state['chain']['id']}, block {state['chain']['block']}",
        "notes": state["notes"],
    }


def lines(found: dict[str, Any]) -> list[str]:
    """For a person."""
    if not found["gateway"]:
        return [f"{found['site']}: made and not started yet", f"next: tinyren gateway up {found['site']}"]
    bound = f", {found['bound']} bound, {len(found['silent'])} silent" if found["running"] else ""
    rejected = ", ".join(f"{count} {reason}" for reason, count in found["rejected"].items()) or "none"
    rows = {
        "gateway": found["gateway"] + ("" if found["running"] else ", stopped"),
        "page": found["page"],
        "broker": found["broker"],
        "chain": found["chain"],
        "devices": f"{found['devices']} known{bound}, {found['heartbeats']:,} heartbeats",
        "epochs": f"{found['epoch']} begun, {found['settled']} settled",
        "rejected": rejected,
    }
    said = [f"{name:<9} {value}" for name, value in rows.items() if value]
    said += [f"{'note' if number == 0 else '':<9} {note}" for number, note in enumerate(found["notes"][-3:])]
    return said + ([] if found["running"] else [f"next: tinyren gateway up {found['site']}"])
