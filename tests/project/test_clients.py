"""Every client of a page or node: what no gateway and no node would answer is its own error, never another."""

import contextlib
import json
from types import SimpleNamespace

import pytest
from coincurve import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.binding import client as binding
from gateway.chain.chain import ChainError, connect
from gateway.deeploy.client import SiteClient
from gateway.edge import running
from gateway.edil.client import Gateway, GatewayAway, GatewayRefused
from gateway.errors import CommandError
from gateway.oracle.rpc import ChainAway, ChainReader
from gateway.poai import reader_client
from gateway.site import running_site, site_file
from gateway.site.site_file import Site
from tests.foreign_server import BODIES, ForeignServer

KEY = PrivateKey(bytes(31) + b"\x01")
ID = bytes(20)
NODE_READS = ("chain_id", "block_number", "settled", "oracles_number", "oracles")
CLIENTS = {
    "buyer": ((CommandError,), lambda url, _: reader_client.fetch(url, KEY.public_key.format())),
    "buyer who publishes": ((CommandError,), lambda url, _: reader_client.publish(url, b"x")),
    "owner who binds": ((binding.GatewayAway, binding.Refused), lambda url, _: binding.bind(url, "code", 1, KEY, ID)),
    "owner who releases": ((binding.GatewayAway, binding.Refused), lambda url, _: binding.release(url, ID, KEY, ID)),
    "data owner": ((GatewayAway, GatewayRefused), lambda url, _: Gateway(url).rounds()),
    "who asks for a job": ((CommandError,), lambda _, folder: SiteClient(folder).jobs()),
    "state of a site": ((CommandError,), lambda _, folder: running_site.state_of(folder)),
    "backup": ((OSError,), lambda url, _: running.state(SimpleNamespace(page_port=int(url.rpartition(":")[2])))),
    "gateway on a chain": ((ChainError,), lambda url, _: connect(url)),
} | {
    f"oracle: {name}": ((ChainAway,), lambda url, _, name=name: getattr(ChainReader(url, ID, ID), name)())
    for name in NODE_READS
}
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "0x", "0x1", "zz", "0x" + "00" * 99])
)
JSON = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["epoch", "items", "result", "id", "error", "data", "jobs"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def server():
    made = ForeignServer()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def folder(server, tmp_path_factory):
    """A site whose page should be where the server is."""
    folder = tmp_path_factory.mktemp("site")
    site_file.write(folder, Site(boards=[], gateway="0x" + "11" * 20, page_port=int(server.url.rpartition(":")[2])))
    return folder


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("body", BODIES)
def test_what_is_no_answer_is_the_clients_own_error(server, folder, client, body):
    server.body = BODIES[body]
    errors, call = CLIENTS[client]
    with contextlib.suppress(*errors):
        call(server.url, folder)


@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=25, derandomize=True, deadline=None)
@given(value=JSON)
def test_another_form_of_answer_is_the_clients_own_error(server, folder, client, value):
    server.say(json.dumps(value).encode())
    errors, call = CLIENTS[client]
    with contextlib.suppress(*errors):
        call(server.url, folder)
