"""Puts into a running site what it tells the world and takes from its serial ports; decides nothing."""

from collections.abc import Callable
from pathlib import Path

from eth_utils.address import to_checksum_address

from gateway.broker.bus import Bus
from gateway.broker.device_accounts import DeviceAccounts
from gateway.broker.serial_bridge import SerialBridge
from gateway.deeploy.reconcile import ASKED, WAITING
from gateway.deeploy.service import Deeploy
from gateway.intake.epochs import Clock
from gateway.monitoring.outside import Outside, Publish
from gateway.monitoring.webhook import Webhook
from gateway.site.options import Options
from gateway.site.status import Status
from gateway.site.threads import Threads

ON_ITS_WAY = (WAITING, ASKED)


def open_bridge(options: Options, link: Callable[[], tuple[str, int]], threads: Threads) -> SerialBridge:
    """The serial ports of the settings, joined to the broker at `link`."""
    bridge = SerialBridge(options.settings["serial.ports"], link)
    threads.start("serial", bridge)
    return bridge


def open_outside(
    folder: Path,
    options: Options,
    status: Status,
    accounts: DeviceAccounts,
    deeploy: Deeploy,
    bus: Bus,
    publish: Publish,
    notice: Callable[..., None],
    clock: Clock,
    threads: Threads,
) -> Outside:
    """/metrics, alerts and Home Assistant, as the settings want them."""
    settings = options.settings
    hook = Webhook(settings["alerts.url"]) if settings["alerts.url"] else None
    if hook:
        threads.start("alerts", hook)

    def facts() -> dict[str, float]:
        return {"broker_connected": bus.is_connected(), "device_accounts": accounts.count()}

    def updating() -> set[str]:
        rows = [row for job in deeploy.jobs() for row in deeploy.job(job["name"]).get("devices", ())]
        return {to_checksum_address(row["id"]) for row in rows if row["phase"] in ON_ITS_WAY}

    tells = settings["home_assistant.where"] in ("always", "own" if options.broker is None else "")
    hours = settings["alerts.budget_hours"]
    outside = Outside(folder, status, facts, publish if tells else None, hook, hours, notice, clock, updating)
    status.low = outside.low
    return outside
