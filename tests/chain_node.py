"""A chain of this process behind JSON-RPC over HTTP, as a node that somebody else runs."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gateway.chain.chain import ChainError


class Node:
    """Serves until `stop`; url is where."""

    def __init__(self, chain):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = {"jsonrpc": "2.0", "id": asked["id"]}
                try:
                    answer["result"] = chain.request(asked["method"], asked["params"])
                except ChainError as error:
                    answer["error"] = {"code": error.code, "message": error.reason, "data": error.data}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
