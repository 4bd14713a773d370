"""A site as Prometheus reads it: the snapshot of status.py as text, pure; it measures nothing itself.

Names and types follow Prometheus' naming practice: tinyren_ first, base units (seconds, bytes), _total on what only
rises. Devices beyond MAX_DEVICES have no line of their own, since each is a series for ever; the summary has them all.
Source: Prometheus, exposition formats, text 0.0.4; naming practice.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_DEVICES = 1000
QUANTILES = (0.5, 0.9, 0.99, 1.0)
WEI = 10**18
Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""Suffix of the name, labels, value."""


class Family(NamedTuple):
    """One metric: its name, "gauge", "counter" or "summary", what it means, and its values."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


def render(families: Iterable[Family]) -> str:
    """The text of an answer to a scrape."""
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{suffix}{_labels(labels)} {value:.16g}" for suffix, labels, value in family.samples]
    return "\n".join(lines) + "\n"


def of_site(snapshot: Mapping[str, Any], facts: Mapping[str, float], now_ms: int) -> Iterator[Family]:
    """What a site says of itself.

    Args:
        snapshot: status.Status.snapshot(). facts: values by the names of FACTS. now_ms: the site's time.
    """
    devices, epochs = snapshot["devices"], snapshot["epochs"]
    bound = sum(row["deed"] is not None for row in devices)
    yield _gauge(
        "devices", "Devices that announced themselves.", {"bound": bound, "unbound": len(devices) - bound}, "state"
    )
    yield from _heard(devices, now_ms)
    yield _counter("heartbeats", "Heartbeats that were verified and stored.", sum(row["heartbeats"] for row in devices))
    yield _by(
        "messages_refused_total", "counter", "Messages that were refused, by reason.", "reason", snapshot["rejected"]
    )
    late, dropped, missing = (sum(row["offline"][name] for row in devices) for name in ("late", "dropped", "missing"))
    yield _counter("records_late", "Windows without the gateway of which devices told afterwards.", late)
    yield _counter(
        "records_dropped", "Windows of which devices could not tell, because they had no room left.", dropped
    )
    yield _value("records_missing", "Sequences of devices that neither came nor were dropped.", missing)
    settled = [row for row in epochs if row["state"] == "settled"]
    states = Counter(row["state"] for row in epochs)
    yield _value("epoch", "Number of the newest epoch.", max((row["epoch"] for row in epochs), default=0))
    yield _value("epoch_settled", "Number of the last epoch that was settled.", settled[-1]["epoch"] if settled else 0)
    yield _value("epochs_behind", "Epochs that are closed and not settled yet.", states["closing"])
    yield _value("chain_block", "The newest block that the gateway saw.", snapshot["chain"]["block"])
    rounds, jobs = (Counter(str(row.get("state")) for row in snapshot[name]) for name in ("edil", "jobs"))
    yield _gauge("rounds", "EDIL's rounds that are kept, by state.", rounds, "state")
    yield _gauge("jobs", "Deeploy's jobs, by state.", jobs, "state")
    for name, help_ in FACTS.items():
        if name in facts:
            yield Family(
                "tinyren_" + name, "counter" if name.endswith("_total") else "gauge", help_, [("", {}, facts[name])]
            )


FACTS = {
    "broker_connected": "Whether the gateway has a connection to the broker (1 or 0).",
    "device_accounts": "Devices that have an account at the broker.",
    "disk_free_bytes": "Bytes that are free on the disk of the site.",
    "offline_budget_low_devices": "Devices that lose work soon because nobody hears them.",
    "alerts_sent_total": "Alerts that the operator's address took.",
    "alerts_lost_total": "Alerts that were given up.",
    "start_time_seconds": "When the gateway was started, seconds since 1970.",
}


def _heard(devices: Sequence[Mapping[str, Any]], now_ms: int) -> Iterator[Family]:
    heard = [row for row in devices if row.get("last_heartbeat_ms") is not None]
    ages = sorted(max(0, now_ms - row["last_heartbeat_ms"]) / 1000 for row in heard)
    samples: list[Sample] = [("", {"quantile": f"{share:g}"}, _quantile(ages, share)) for share in QUANTILES if ages]
    samples += [("_sum", {}, sum(ages)), ("_count", {}, len(ages))]
    yield Family("tinyren_last_heartbeat_age_seconds", "summary", "How long ago devices were last heard.", samples)
    if len(heard) <= MAX_DEVICES:
        times: list[Sample] = [("", {"device": row["id"]}, row["last_heartbeat_ms"] / 1000) for row in heard]
        help_ = "When a device was last heard, seconds since 1970; told of at most 1,000 devices."
        yield Family("tinyren_device_last_heartbeat_time_seconds", "gauge", help_, times)
        hours: list[Sample] = [("", {"device": row["id"]}, 3600 * row["offline"]["budget_hours"]) for row in heard]
        help_ = "How long a device can be without the gateway, as it said last, in whole hours, 23 or more as 23."
        yield Family("tinyren_device_offline_budget_seconds", "gauge", help_, hours)


def _quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def _value(name: str, help_: str, value: float) -> Family:
    return Family("tinyren_" + name, "gauge", help_, [("", {}, value)])


def _counter(name: str, help_: str, value: float) -> Family:
    return Family(f"tinyren_{name}_total", "counter", help_, [("", {}, value)])


def _gauge(name: str, help_: str, values: Mapping[str, float], label: str) -> Family:
    return _by(name, "gauge", help_, label, values)


def _by(name: str, kind: str, help_: str, label: str, values: Mapping[str, float]) -> Family:
    return Family("tinyren_" + name, kind, help_, [("", {label: key}, values[key]) for key in sorted(values)])


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())
    return f"{{{inside}}}" if inside else ""


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
