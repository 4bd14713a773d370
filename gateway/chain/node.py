"""Asks a chain's node, over HTTP by web3's provider. Refuses to tell more of a failure than its kind: the library's own
words have the URL, in which providers put keys.

web3 takes most of a second to import, so this file is imported by who needs a node, when it needs one.

Source: Ethereum's execution API, JSON-RPC 2.0.
"""

from typing import Any

from web3 import HTTPProvider

from gateway.chain import jsonrpc, recursion
from gateway.chain.jsonrpc import RpcError

recursion.bound()


class Node:
    """What answers JSON-RPC at `url`, http or https; for threads that take turns."""

    def __init__(self, url: str) -> None:
        self._provider = HTTPProvider(url)

    def request(self, method: str, params: list[Any]) -> Any:
        """The result of a method. RpcError: the node's own, or there was no answer."""
        try:
            answer: Any = self._provider.make_request(method, params)
        except (OSError, ValueError, RecursionError) as error:
            raise RpcError(jsonrpc.NO_ANSWER, f"no answer: {_kind(error)}") from None
        return jsonrpc.result_of(answer)


def _kind(error: Exception) -> str:
    """What failed, without the URL: the HTTP status, the reason of a connection, or the error's name."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP {response.status_code} {response.reason}"
    inner = error.args[0] if error.args else error
    return str(getattr(inner, "reason", type(error).__name__))
