"""The core on stock MicroPython: opens memory, sensors, light and link as the board's data and settings say; decides
nothing. `main` forgets it when all is open.

Where what is set cannot be opened, the board runs without it and says so: waves in place of sensors, the console in
place of a network. Only key, state and ring have to be there.
"""

import _tinyren
import board
import host_model
from agent.banks import Banks
from agent.boot import Boot
from agent.journal import Journal
from micropython import const
from stock.files import FileMemory, FilePages, read
from stock.settings import MOST_BYTES, decode_settings

AUTHORITY = "authority.der"
_AUTHORITY_BYTES = const(2048)
_STORE_BYTES = const(1024)
_STATE_BYTES = const(4096)


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
    """What runs in this boot: no banks, so always what was copied here, or safe mode."""
    reset = _tinyren.reset_reason()
    banks = Banks(regions["state"], (), ())
    return Boot(banks, _tinyren.BOARD, "error: fault" if reset == "error" else reset, _tinyren.ticks_ms())


def open_model():
    """(model, offsets, shifts, sample_ms) of the encoder that was copied here."""
    return _tinyren.Model(host_model.ARTIFACT), host_model.OFFSETS, host_model.SHIFTS, host_model.SAMPLE_MS


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
