"""How deep Python may recurse where an Ethereum library is imported; refuses what they set, which lets JSON crash us.

py_ecc, which web3, py-evm and eth-account import, raises the limit to 100,000. A hundred thousand opening brackets then
overflow the C stack of json's decoder: no exception, the process is gone.

Source: py-evm's own need, ten Python frames for each of the EVM's 1,024 calls.
"""

import sys

FRAMES = 10 * 1024


def bound() -> None:
    """Set the limit; call it where such a library has been imported."""
    sys.setrecursionlimit(FRAMES)
