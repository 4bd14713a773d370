"""Puts into a running site what it tells the world and takes from its serial ports; decides nothing."""

from collections.abc import Callable
from pathlib import Path

from gateway.bus import Bus
from gateway.device_accounts import DeviceAccounts
from gateway.epochs import Clock
from gateway.outside import Outside, Publish
from gateway.serial_bridge import SerialBridge
from gateway.site_options import Options
from gateway.status import Status
from gateway.threads import Threads
from gateway.webhook import Webhook


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

    tells = settings["home_assistant.where"] in ("always", "own" if options.broker is None else "")
    hours = settings["alerts.budget_hours"]
    outside = Outside(folder, status, facts, publish if tells else None, hook, hours, notice, clock)
    status.low = outside.low
    return outside
