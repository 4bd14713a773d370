"""`tinyren edil publish`: what a data owner fitted into R1FS, readable by whoever has its CID; it signs nothing."""

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.r1fs import Meter, add_verb, open_store
from gateway.errors import CommandError, Exit


def add_publish(verbs: Any) -> None:
    """The verb `publish` of `tinyren edil`."""
    verb = add_verb(verbs, "publish", "keep a head, decoder or sums in R1FS; whoever has its CID can read it", run)
    verb.add_argument("file", type=Path, metavar="FILE", help="what `open` or `fit` wrote")


def run(arguments: Namespace, meter: Meter) -> dict[str, Any]:
    content = arguments.file.read_bytes()
    try:
        fields = json.loads(content)
    except ValueError as error:
        raise CommandError(f"{arguments.file}: {error}; wanted JSON that `open` or `fit` wrote", Exit.USAGE) from error
    if not isinstance(fields, dict):
        raise CommandError(f"{arguments.file}: got {type(fields).__name__}, wanted a JSON object", Exit.USAGE)
    with open_store(arguments, meter) as store:
        return store.add([content])._asdict()
