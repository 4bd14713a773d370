"""A chain's node over HTTP: what of a failure is told, and what of the node's URL is told to nobody."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gateway.chain.jsonrpc import RpcError
from gateway.chain.node import Node

ANSWER = b'{"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}'
SECRET = "a-providers-key"


class Server(HTTPServer):
    """Answers with `status` and `body`, or hangs up if it is mute; `asked`: (method, Authorization)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.is_mute, self.asked = 200, ANSWER, False, []
        threading.Thread(target=self.serve_forever, args=(0.01,)).start()

    def url(self, user=""):
        return f"http://{user}127.0.0.1:{self.server_port}/v3/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((asked["method"], self.headers.get("Authorization")))
        if self.server.is_mute:
            return
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = Server()
    yield made
    made.shutdown()
    made.server_close()


@pytest.mark.parametrize("status", [400, 401, 429, 503])
def test_another_status_is_told_and_not_the_key_in_the_url(server, status):
    server.status = status
    with pytest.raises(RpcError, match=f"^no answer: HTTP {status} [A-Z]") as caught:
        Node(server.url()).request("eth_chainId", [])
    assert SECRET not in str(caught.value)


def test_user_and_password_of_the_url_are_sent(server):
    Node(server.url("anna:secret@")).request("eth_chainId", [])
    assert server.asked == [("eth_chainId", "Basic " + base64.b64encode(b"anna:secret").decode())]


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"null"])
def test_no_error_tells_the_key_in_a_url(server, body):
    server.is_mute, server.body = body is None, body
    with pytest.raises(RpcError, match="^no answer") as caught:
        Node(server.url("anna:secret@")).request("eth_chainId", [])
    assert SECRET not in str(caught.value) and "secret" not in str(caught.value)


def test_where_nobody_listens_the_error_says_so_and_nothing_of_the_path(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(RpcError, match="no answer: .*refused") as caught:
        Node(server.url()).request("eth_chainId", [])
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["127.0.0.1:1", "ftp://127.0.0.1:1", "http://", "http://[", "http://127.0.0.1:99999"])
def test_what_is_no_url_of_a_node_is_no_answer(url):
    with pytest.raises(RpcError, match="no answer"):
        Node(url).request("eth_chainId", [])
