"""The core on stock MicroPython: opens memory, sensors, light and link as the board's data and settings say, and what
`agent.boot` decides shall run; it decides nothing. `main` forgets it when all is open.

Where what is set cannot be opened, the board runs without it and says so: waves in place of sensors, the console in
place of a network. Only key, state and ring have to be there. A model in a bank is copied to the heap, as the shipped
one is; an agent's modules are read from theirs when they are imported.
"""

import gc
import sys

import _tinyren
import board
from agent.banks import AGENT, MODEL, Banks
from agent.boot import Boot
from agent.journal import Journal
from micropython import const
from stock.files import PAGE_BYTES, FileMemory, FilePages, read, replace
from stock.settings import MOST_BYTES, decode_settings

AUTHORITY = "authority.der"
FLASHED = "tinyren.flashed"  # which of the agents that were copied here ran last
_AUTHORITY_BYTES = const(2048)
_STORE_BYTES = const(1024)
_STATE_BYTES = const(4096)
_VERSION_BYTES = const(64)
# Of the core, while a package runs.
_KEPT = ("banks", "boot", "journal", "loop", "manifest", "phases", "records", "ticks")
# Of a package, leaves first, for the stack's sake (stock.imports).
_LEAVES = ("errors", "cbor", "ticks", "version", "fields", "packets", "cose", "wire", "mqtt", "records", "reports",
           "phases", "manifest", "suit", "topics", "store", "identity", "ring", "late", "sampling")  # fmt: skip


def open_settings():
    """(what is set, what is wrong with it)."""
    return decode_settings(read("settings.json", MOST_BYTES + 1))


def open_journal():
    """The last lines, which outlive a reset that is asked for."""
    return Journal(_tinyren.retained(), _tinyren.reset_reason())


def open_regions():
    """{name: memory}. Raises OSError: a file has another size, or there is no room."""
    return {
        "store": FileMemory("tinyren.key", _STORE_BYTES),
        "state": FileMemory("tinyren.state", _STATE_BYTES),
        "ring": FilePages("tinyren.late", board.RING_PAGES),
    }


def open_boot(regions):
    """What runs in this boot: decided, verified, and kept. An agent that was copied here since the last boot goes
    before one that came over the air.
    """
    reset, version = _tinyren.reset_reason(), board.VERSION.encode()
    is_renewed = read(FLASHED, _VERSION_BYTES) != version
    banks = Banks(regions["state"], _pages("model", board.MODEL_PAGES), _pages("agent", board.AGENT_PAGES))
    why = "error: fault" if reset == "error" else reset
    boot = Boot(banks, _tinyren.BOARD, why, _tinyren.ticks_ms(), is_renewed)
    if is_renewed:
        replace(FLASHED, version)
    return boot


def _pages(kind, pages):
    """Memories of the two banks of a kind; of no pages: none, it is not taken."""
    return [FilePages(f"tinyren.{kind}{number}", pages, PAGE_BYTES) for number in (1, 2) if pages]


def open_model(boot):
    """(model, offsets, shifts, sample_ms) of what boot decided."""
    bank, wants = boot.bank_of(MODEL), boot.wants
    if bank:
        artifact = bytearray(boot.model.size)
        bank.read(0, artifact)
        return (_tinyren.Model(bytes(artifact)),) + wants
    import host_model

    wants = wants or (host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS)
    return (_tinyren.Model(host_model.ARTIFACT),) + wants


def open_agent(boot):
    """The module `run` of what boot decided: a package's, or what was copied here. Of the core only what is in use
    stays, for a package brings its own of all the rest.
    """
    bank = boot.bank_of(AGENT)
    if bank is None:
        from agent import run

        return run
    import vfs
    from agent.package import Package
    from package_files import PackageFiles
    from stock.part import Parts

    files = Package(bank.read, boot.agent.size).files
    vfs.mount(PackageFiles(files, Parts(bank.read)), "/bank")
    sys.path.insert(0, "/bank")
    _forget()
    for name in _LEAVES:
        if name + ".mpy" in files:
            _tinyren.watchdog()
            __import__("tinyren_agent." + name)
    import tinyren_agent.run

    return tinyren_agent.run


def _forget():
    """Free what a package brings its own of. The modules are emptied, for something on the stack may look like them."""
    for name in list(sys.modules):
        folder, _, module = name.partition(".")
        if folder == "agent":
            names = sys.modules.pop(name).__dict__
            if module not in _KEPT:
                names.clear()
    gc.collect()


def open_source(settings=None, say=print):
    """Where samples come from: the drivers that settings name, on the board's I2C pins; else waves."""
    names = (open_settings()[0] if settings is None else settings).get("sensors")
    if names:
        try:
            return _open_sensors(names)
        except (ImportError, AttributeError, OSError, ValueError) as error:
            say(f"sensors: {error}; samples are computed instead")
    from stock.waves import Waves

    return Waves()


def _open_sensors(names):
    from drivers.sample_source import SampleSource

    i2c, drivers, take, first = _open_i2c(), [], [], 0
    for name, places in names:
        driver = getattr(getattr(__import__("drivers." + name), name), name[0].upper() + name[1:])(i2c)
        count = len(driver.units)
        if places and max(places) >= count:
            raise ValueError(f"{name}: got place {max(places)}, wanted 0..{count - 1}")
        take += [first + place for place in places or range(count)]
        drivers.append(driver)
        first += count
    if len(take) > 4:
        raise ValueError(f"got {len(take)} values, wanted at most 4: name places, as bme280:0+lis2dh12")
    return SampleSource(*drivers, take=take)


def _open_i2c():
    import machine

    if board.I2C_SCL is None:
        raise ValueError("got a board whose I2C pins are not known")
    pins = [machine.Pin(int(name) if name.isdigit() else name) for name in (board.I2C_SCL, board.I2C_SDA)]
    return machine.SoftI2C(scl=pins[0], sda=pins[1])


def open_switch():
    """Function of is_on that switches the board's light; None without one."""
    if board.LED is None:
        return None
    try:
        from machine import Pin

        return Pin(board.LED, Pin.OUT).value
    except (ImportError, ValueError, OSError):
        return None


def open_link(settings, say):
    """The link that settings name. say: function of a text; None is returned for it where the link is the console."""
    if "ssid" in settings and "gateways" in settings:
        try:
            import network
            from stock.link import TcpLink
            from stock.wifi import Wifi

            wifi = Wifi(network, settings, say, _tinyren.ticks_ms())
            return TcpLink(wifi, settings["gateways"], read(AUTHORITY, _AUTHORITY_BYTES), say)
        except (ImportError, OSError) as error:
            say(f"wifi: got {error}, wanted a radio; the link is this console")
    from stock.link import SerialLink

    return SerialLink(_set_up)


def _set_up():
    from stock.improv import new_setup

    return new_setup(_tinyren.BOARD, _tinyren.VERSION, _tinyren.CORE)
