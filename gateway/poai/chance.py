"""How likely it is to catch a device that skips inferences, and what catching costs; pure. Run it for the tables.

A device computes a share p of what it claims. In each of K windows it is challenged with probability C / K; one of its
units is drawn, and with probability 1 - p it has no right answer. Windows are drawn independently, so nothing that it
has seen helps it:
    caught in an epoch = 1 - (1 - C / K * (1 - p))^K >= 1 - exp(-C (1 - p))
    cost to verify     = C / (K * units of a window), as a share of the work that is paid
Caught means: at least one challenge that it cannot answer. Silent, it is paid p^2; lying, nothing (verdict).
"""

from gateway.poai.draw import CHALLENGES

SHARES = (0.99, 0.9, 0.75, 0.5, 0.25, 0.0)
COUNTS = (5, 11, 14, 20, 28)
EPOCHS = ((12, 4), (60, 4), (175, 4), (288, 4), (1440, 4))
"""(windows of an epoch, units of a window)"""


def caught(share: float, windows: int, challenges: int = CHALLENGES) -> float:
    """Probability of at least one challenge in an epoch that a device which computes `share` cannot answer."""
    return float(1 - (1 - min(challenges, windows) / windows * (1 - share)) ** windows)


def cost(windows: int, units: int, challenges: int = CHALLENGES) -> float:
    """Inferences that a verifier runs, as a share of those that the device is paid for."""
    return min(challenges, windows) / (windows * units)


def tables() -> str:
    """Both tables in Markdown, as docs/poai.md has them."""
    head = ["share computed", *(f"C = {count}" for count in COUNTS)]
    rows = [[f"{share:.0%}", *(_percent(caught(share, 1440, count)) for count in COUNTS)] for share in SHARES]
    epochs = [
        [f"{windows:,}", str(units), _percent(caught(0.5, windows)), f"{cost(windows, units):.2%}"]
        for windows, units in EPOCHS
    ]
    return _table(head, rows) + "\n" + _table(["windows", "units a window", "half is caught", "cost to verify"], epochs)


def _percent(value: float) -> str:
    """Rounded down, so that no probability looks higher than it is."""
    return f"{int(value * 100_000) / 1000:.3f} %"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


if __name__ == "__main__":
    print(tables(), end="")
