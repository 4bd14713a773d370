"""Which commands write a board: each tool's, as lists of arguments. It runs none, reads no file and opens no port.

All keep what the board keeps (its files and settings) unless `erase`. esptool and openocd compare what they wrote;
dfu-util and pyocd do not, so there the board is asked when it is back.

Sources: esptool 5 (write-flash verifies digests), dfu-util(1), OpenOCD's user guide (program ... verify), pyOCD's
command reference (load).
"""

from boards.hardware import Flash

BAUD = "460800"
INSTALL = {
    "esptool": "pip install esptool",
    "pyocd": "pip install pyocd",
    "dfu-util": "apt-get install dfu-util",
    "openocd": "apt-get install openocd",
    "ssh": "apt-get install openssh-client",
    "mpremote": "pip install mpremote",
}


def esptool_commands(way: Flash, port: str, parts: list[tuple[int, str]], erase: bool) -> list[list[str]]:
    """parts: (address, path of a file) of what is written; with `erase` the whole flash is erased first."""
    start = ["esptool", "--chip", way.chip, "--port", port, "--baud", BAUD]
    written = [word for address, path in parts for word in (f"{way.address + address:#x}", path)]
    return [[*start, "erase-flash"]] * erase + [[*start, "write-flash", *written]]


def dfu_commands(file: str, serial: str, erase: bool) -> list[list[str]]:
    """serial: the board's, or "" for the only one; the file holds the addresses."""
    which = ["--serial", serial] if serial else []
    modifier = ["--dfuse-address", ":mass-erase:force:leave"] if erase else ["--dfuse-address", ":leave"]
    return [["dfu-util", "--device", "0483:df11", "--alt", "0", *which, *modifier, "--download", file]]


def openocd_commands(way: Flash, file: str, serial: str, erase: bool) -> list[list[str]]:
    """serial: the probe's, or "" for the only one. Raises ValueError: one that no command can name."""
    which = ["-c", f"adapter serial {_word(serial)}"] if serial else []
    wipe = "init; reset halt; stm32f2x mass_erase 0; " if erase else ""
    return [["openocd", "-f", way.config, *which, "-c", f"{wipe}program {_word(file)} verify reset exit"]]


def pyocd_commands(way: Flash, file: str, serial: str, erase: bool) -> list[list[str]]:
    """serial: the probe's, or "" for the only one; without `erase` only the sectors of the file are erased."""
    which = ["--uid", serial] if serial else []
    mode = "chip" if erase else "sector"
    return [["pyocd", "load", "--no-wait", "--target", way.target, *which, "--erase", mode, "--format", "hex", file]]


def _word(text: str) -> str:
    """A word of Tcl, in which OpenOCD's -c is written: what a probe says of itself must not run as a program."""
    if any(char in "{}\\" or not char.isprintable() for char in text):
        raise ValueError(f"got {text!r}, wanted it without braces and backslashes: take another probe or folder")
    return f"{{{text}}}"
