"""How the pages print amounts, ids, times and foreign text; holds no state and reads no clock.

Amounts are decimal strings of wei in a snapshot and R1 with four decimals on a page, rounded down, so that no page ever
shows more than the chain pays. Text that comes from a device is cut here and escaped by the template.
"""

from datetime import UTC, datetime

TEXT_LIMIT = 40


def r1(wei: str | int | None, decimals: int = 4) -> str:
    """Wei as R1, rounded down: "1458508188386985115" is "1.4585"."""
    if wei is None:
        return "–"
    whole, rest = divmod(int(wei), 10**18)
    return f"{whole:,}.{rest:018}"[: -(18 - decimals)]


def short(value: str | None) -> str:
    """An id or digest by its two ends: "0x7E5F…5Bdf"."""
    value = text(value, 80)
    return value if len(value) <= 14 else f"{value[:6]}…{value[-4:]}"


def text(value: object, limit: int = TEXT_LIMIT) -> str:
    """Foreign text: one line, printable characters, cut to its limit."""
    plain = "".join(char if char.isprintable() else "�" for char in str(value or ""))
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def number(value: object) -> str:
    """An integer with thin groups of three: "12 480"."""
    return f"{int(str(value or 0)):,}".replace(",", "\u202f")


def size(value: int) -> str:
    """Bytes in the unit that keeps three digits: "4.2 kB"."""
    amount = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f}\u202f{unit}" if unit == "B" or amount >= 100 else f"{amount:.1f}\u202f{unit}"
        amount /= 1000
    return f"{amount:.1f}\u202fTB"


def duration(milliseconds: int) -> str:
    """A length of time in its two largest words at most: "1 min 20 s", "3 h"."""
    seconds = max(0, milliseconds // 1000)
    if seconds < 120:
        return f"{seconds}\u202fs"
    minutes, hours = seconds // 60, seconds // 3600
    return f"{minutes}\u202fmin" if minutes < 120 else f"{hours}\u202fh" if hours < 48 else f"{hours // 24}\u202fdays"


def ago(then_ms: int, now_ms: int) -> str:
    """ "12 s ago"; what the clock says is yet to come is "now"."""
    return f"{duration(now_ms - then_ms)} ago" if now_ms - then_ms >= 1000 else "now"


def stamp(then_ms: int) -> str:
    """A moment in UTC, as "2026-11-22 20:15:03 UTC"."""
    return datetime.fromtimestamp(then_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
