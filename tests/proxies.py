"""Reverse proxies before a page, for tests: a small one of Python's, and nginx and Caddy as docs/proxy.md has them."""

import contextlib
import http.client
import http.server
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from gateway.lan import certificates
from tests.ports import free_port

NAME = "gw.example.org"
DOCUMENT = (Path(__file__).parent.parent / "docs" / "proxy.md").read_text()
PROGRAMS = ("nginx", "caddy")
DROPPED = ("connection", "transfer-encoding", "keep-alive")


def certificate(folder):
    """(authority, certificate, key) of NAME, as files."""
    authority = certificates.authority_of(certificates.new_key(), "proxies")
    pair = certificates.issue(authority, [NAME, "localhost"], datetime.now(UTC))
    paths = [folder / name for name in ("ca.pem", "chain.pem", "server.pem")]
    for path, content in zip(paths, (authority.chain_pem(), pair.chain_pem(), pair.pem()), strict=True):
        path.write_bytes(content)
    return paths


@contextlib.contextmanager
def python_proxy(served, port, host=None, added=(("X-Forwarded-For", "203.0.113.7"),)):
    """A proxy by TLS; its port.

    Args:
        served: certificate and key in a file. port: of the page behind it. host: what Host it says; None: as it came.
        added: headers that it adds.
    """

    class Passing(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self):
            behind = http.client.HTTPConnection("127.0.0.1", port)
            length = int(self.headers.get("Content-Length", 0))
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in [*self.headers.items(), *added]:
                behind.putheader(name, host if host and name.lower() == "host" else value)
            behind.endheaders(self.rfile.read(length) if length else None)
            answer = behind.getresponse()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in DROPPED:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read1():
                self.wfile.write(piece)
            behind.close()
            self.close_connection = True

        do_GET = do_POST = do_HEAD = pass_on

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    server.daemon_threads, server.handle_error = True, lambda *_: None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(served)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def program(name, folder, port, change=lambda text: text):
    """nginx or Caddy with the configuration of docs/proxy.md; its port. change: spoils that configuration."""
    own = free_port()
    (text,) = re.findall(rf"```{name}\n(.*?)```", DOCUMENT, re.DOTALL)
    command = _nginx if name == "nginx" else _caddy
    words = command(folder, change(text.replace("127.0.0.1:8421", f"127.0.0.1:{port}")), own)
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    with (folder / "proxy.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environment)
    try:
        _until_it_listens(process, own, folder / "proxy.log")
        yield own
    finally:
        process.terminate()
        process.wait()


def _nginx(folder, server, own):
    served = folder / "server.pem"
    server = re.sub("(ssl_certificate(?:_key)?) .*;", rf"\1 {served};", server).replace("listen 443", f"listen {own}")
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi"))
    whole = f"pid {folder}/pid; events {{}} http {{ access_log off; {temporary} scgi_temp_path {folder}/s; {server} }}"
    (folder / "nginx.conf").write_text(whole)
    daemon = ["-e", "stderr", "-g", "daemon off; user root;"]
    return [shutil.which("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), *daemon]


def _caddy(folder, site, own):
    tls = f"tls {folder / 'chain.pem'} {folder / 'server.pem'}"
    site = site.replace(f"{NAME} {{", f"https://{NAME}:{own} {{\n    bind 127.0.0.1\n    {tls}")
    (folder / "Caddyfile").write_text("{\n    admin off\n    auto_https disable_redirects\n}\n" + site)
    return [shutil.which("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def _until_it_listens(process, port, log):
    end_s = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(log.read_text())
