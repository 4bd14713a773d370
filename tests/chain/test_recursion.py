"""What the Ethereum libraries do to the recursion limit: brackets from a stranger must end in an exception."""

import subprocess
import sys

import pytest

DECODE = """
import json, sys, threading
{imports}
def decode():
    for text in ("[" * 1_000_000, '{{"a":' * 1_000_000):
        try:
            json.loads(text)
        except RecursionError:
            print("refused")
thread = threading.Thread(target=decode)
thread.start()
thread.join()
"""


SIGNER = """
from coincurve import PrivateKey
from gateway.chain import chain
chain._account(PrivateKey.from_int(1))
"""


@pytest.mark.parametrize(
    "imports", [SIGNER, *(f"import gateway.{name}" for name in ("chain.node", "chain.embedded", "site.site"))]
)
def test_json_of_a_million_brackets_is_an_exception_and_not_the_end_of_the_process(imports):
    done = subprocess.run(
        [sys.executable, "-c", DECODE.format(imports=imports)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "refused\nrefused\n")
