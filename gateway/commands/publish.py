"""`tinyren model publish`: an int8 model and its artifact into R1FS, under the name that heartbeats give it.

A model's name is the CID of its .tflite as one raw block, which is what devices sign. So it is kept as one block, and
what is larger than a block may be is refused. Its artifact and a dag-cbor node that links both come beside it, pinned.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.r1fs import Meter, add_verb, open_store
from gateway.errors import CommandError, Exit
from gateway.storage.cid import DAG_CBOR, MAX_BLOCK_BYTES
from gateway.storage.dag_cbor import Link, encode_node
from gateway.storage.r1fs import R1FS


def add_publish(verbs: Any) -> None:
    """The verb `publish` of `tinyren model`."""
    verb = add_verb(verbs, "publish", "keep a model and its artifact in R1FS, under the name that devices sign", run)
    verb.add_argument("model", type=Path, metavar="M.tflite", help="an int8 model")


def run(arguments: Namespace, meter: Meter) -> dict[str, Any]:
    from gateway.commands.model_verbs import compiled

    content, artifact = compiled(arguments.model)
    with open_store(arguments, meter) as store:
        return publish_model(store, content, artifact)


def publish_model(store: R1FS, content: bytes, artifact: bytes) -> dict[str, Any]:
    """Keep a model; {"cid" of the node that is pinned, "model", "artifact", "bytes"}.

    Args:
        content: of the .tflite file. artifact: compiled from it.
    Raises:
        CommandError: one of them is larger than a block; nothing is kept.
        StoreError: as R1FS; nothing is pinned.
    """
    for name, data in (("model", content), ("artifact", artifact)):
        if len(data) > MAX_BLOCK_BYTES:
            raise CommandError(f"{name}: got {len(data)} bytes, wanted at most {MAX_BLOCK_BYTES}", Exit.USAGE)
    model, runs = store.put_block(content), store.put_block(artifact)
    node = store.put_block(encode_node({"model": Link(model), "artifact": Link(runs)}), DAG_CBOR)
    store.pin(node)
    return {"cid": node, "model": model, "artifact": runs, "bytes": len(content) + len(artifact)}
