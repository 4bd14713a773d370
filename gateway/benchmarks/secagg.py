"""Flower's SecAgg+ on the same vector length and clients, by its own code in this process; an optional comparison.

Runs wherever `flwr` is installed and imports nothing of ours. Clients run one after another and nothing is sent:
seconds are computation alone, bytes are Flower's own protobuf messages. A round is an exchange for which clients must
be online.

    python -m gateway.benchmarks.secagg --clients 16 --values 1022
"""

import argparse
import json
import logging
import time
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any


def measure(clients: int, values: int) -> dict[str, Any]:
    """{"skipped", "version", "clients", "values", "rounds", "upload_bytes", "download_bytes", "seconds"}.

    Bytes are those of one client over all rounds. Where it was skipped, "skipped" says why and the rest is None.
    """
    try:
        import flwr
        import numpy as np
        from flwr.app import ConfigRecord, Context, RecordDict
        from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
        from flwr.compat.common import recorddict_compat as compat
        from flwr.server.compat.legacy_context import LegacyContext
        from flwr.server.workflow import SecAggPlusWorkflow
        from flwr.supercore.task_identity import TaskIdentity
    except ImportError as error:
        return skipped(f"{error.name} is not installed: pip install flwr")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    vectors = [np.full(values, number % 7, np.float32) for number in range(clients)]
    grid, strategy = InProcess(vectors), Strategy(clients, ndarrays_to_parameters([np.zeros(values, np.float32)]))
    context = LegacyContext(Context(1, 0, {}, RecordDict(), {}), strategy=strategy)
    context.state.config_records["config"] = ConfigRecord({"current_round": 1})
    context.state.array_records["parameters"] = compat.parameters_to_arrayrecord(strategy.parameters, True)
    started = time.perf_counter()
    SecAggPlusWorkflow(num_shares=1.0, reconstruction_threshold=0.5, max_weight=1.0)(grid, context)
    seconds = time.perf_counter() - started
    (mean,) = parameters_to_ndarrays(strategy.result)
    if not np.allclose(mean, np.mean(vectors, axis=0), atol=1e-2):
        raise AssertionError("SecAgg+ gave another mean")
    return {
        "skipped": None,
        "version": flwr.__version__,
        "clients": clients,
        "values": values,
        "rounds": grid.rounds,
        "upload_bytes": grid.up // clients,
        "download_bytes": grid.down // clients,
        "seconds": round(seconds, 3),
    }


def skipped(why: str) -> dict[str, Any]:
    """The figures of a comparison that was not made."""
    names = ("version", "clients", "values", "rounds", "upload_bytes", "download_bytes", "seconds")
    return {"skipped": why, **dict.fromkeys(names)}


class Strategy:
    """Every client takes part, with the same parameters; the aggregate is kept in `result`."""

    def __init__(self, clients: int, parameters: Any) -> None:
        from flwr.common import FitIns

        self.parameters, self.result = parameters, None
        self._chosen = [(SimpleNamespace(node_id=node), FitIns(parameters, {})) for node in range(1, clients + 1)]

    def configure_fit(self, server_round: int, parameters: Any, client_manager: Any) -> list[Any]:
        return self._chosen

    def aggregate_fit(self, server_round: int, results: list[Any], failures: list[Any]) -> tuple[Any, dict[str, Any]]:
        self.result = results[0][1].parameters
        return self.result, {}


class InProcess:
    """Flower's grid, with clients that are function calls; counts messages' bytes and exchanges."""

    def __init__(self, vectors: list[Any]) -> None:
        from flwr.app import Context, RecordDict

        self.up = self.down = self.rounds = 0
        self._vectors = vectors
        self._contexts = {node: Context(1, node, {}, RecordDict(), {}) for node in range(1, len(vectors) + 1)}

    def send_and_receive(self, messages: Iterable[Any], *, timeout: float | None = None) -> list[Any]:
        from flwr.client.mod.secure_aggregation.secaggplus_mod import secaggplus_mod
        from flwr.common.serde import message_from_proto, message_to_proto

        self.rounds += 1
        replies = []
        for message in messages:
            sent = message_to_proto(message)
            context = self._contexts[message.metadata.dst_node_id]
            answer = message_to_proto(secaggplus_mod(message_from_proto(sent), context, self._fit))
            self.down += sent.ByteSize()
            self.up += answer.ByteSize()
            replies.append(message_from_proto(answer))
        return replies

    def _fit(self, message: Any, context: Any) -> Any:
        """A client's answer to be masked: its vector."""
        from flwr.app import Message
        from flwr.common import Code, FitRes, Status, ndarrays_to_parameters
        from flwr.compat.common import recorddict_compat as compat

        parameters = ndarrays_to_parameters([self._vectors[message.metadata.dst_node_id - 1]])
        result = FitRes(Status(Code.OK, ""), parameters, 1, {})
        return Message(compat.fitres_to_recorddict(result, False), reply_to=message)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--values", type=int, default=1022)
    options = parser.parse_args()
    print(json.dumps(measure(options.clients, options.values)))
