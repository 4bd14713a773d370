"""A whole site on somebody else's broker: on NATS whose node is killed, on one with an account that goes and comes."""

import signal

import pytest

from gateway.site import site_file
from tests.intake.test_broker_url import accounts
from tests.mqtt_servers import Mosquitto, mqtt_cluster, wait_for_broker
from tests.site.test_up import evidence_of
from tests.up_site import SHORT, Up

pytestmark = pytest.mark.alone
SECRET = "a-secret-of-the-broker"


def address(*ports):
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def wait_settled(site, beyond):
    """Wait until an epoch after `beyond` is settled in which every board was heard; its number."""

    def found(state):
        rows = [row for row in state["epochs"] if row["state"] == "settled" and row["epoch"] > beyond]
        return next((row["epoch"] for row in rows if all(row["availability"].values())), None)

    return found(site.wait_state(found))


def newest(site):
    return max(row["epoch"] for row in site.state()["epochs"])


@pytest.fixture
def running():
    """Starts `tinyren up`; none outlives the test."""
    sites = []

    def start(*arguments):
        sites.append(Up(*arguments))
        return sites[-1]

    yield start
    for site in sites:
        if site.process.poll() is None:
            site.end()


@pytest.fixture
def cluster(tmp_path):
    made, ports = mqtt_cluster(tmp_path / "nats")
    made.start()
    try:
        for port in ports:
            wait_for_broker(port)
        yield made, ports
    finally:
        made.stop()


def test_a_site_on_a_nats_cluster_goes_on_at_another_node(cluster, tmp_path, running):
    """How soon boards' sessions go on there is the cluster's: with nats-server 2.9.10 some did not within a minute."""
    nats, ports = cluster
    site = running(tmp_path / "site", "--mqtt", f"mqtt://{address(*ports)}", *SHORT)
    site.wait_line("first heartbeat is verified")
    wait_settled(site, 0)
    nats.signal(0, signal.SIGKILL)
    site.wait_line("is away, and tried again")
    site.wait_line("is back")
    settled = newest(site)
    site.wait_state(lambda state: any(row["epoch"] == settled and row["root"] for row in state["epochs"]))
    code, result = site.end()
    assert code == 0 and result["devices"]
    assert set(evidence_of(tmp_path / "site").values()) == {1}


def test_a_broker_that_goes_and_comes_loses_nothing_and_its_password_is_nowhere(tmp_path, running):
    broker = Mosquitto(tmp_path / "mosquitto", "allow_anonymous true", accounts(tmp_path, password=SECRET)).start()
    (tmp_path / "password").write_text(f"{SECRET}\n")
    folder = tmp_path / "site"
    entry = ["--mqtt", f"mqtt://me@{address(broker.port)}", "--mqtt-password", str(tmp_path / "password")]
    try:
        site = running(folder, *entry, *SHORT)
        site.wait_line("first heartbeat is verified")
        broker.kill()
        site.wait_line("is away, and tried again")
        broker.start()
        site.wait_line("is back")
        wait_settled(site, newest(site))
        seen = [" ".join(process.cmdline()) for process in site.family().values()]
        assert len(seen) == 6 and not any("mosquitto" in line for line in seen)
        code, _ = site.end()
    finally:
        broker.stop()
    assert code == 0 and set(evidence_of(folder).values()) == {1}
    seen += [*site.lines, (folder / site_file.NAME).read_text()]
    seen += [path.read_text() for path in (folder / "logs").glob("*")]
    assert not any(SECRET in text for text in seen)
