"""Calls that take an ERC-20 of the sender's: allows what they take, no more, and only if they are done then."""

from typing import Any

from coincurve import PrivateKey

from gateway.chain.chain import Chain, ChainError, Contract, Receipt, address_of

# How tokens say that nothing was allowed: by the standard's error, by text, or not at all.
NOT_ALLOWED = ("ERC20InsufficientAllowance", "Error", "")


def send_taking(
    chain: Chain, token: Contract, amount: int, contract: Contract, function: str, *arguments: Any, key: PrivateKey
) -> Receipt:
    """Send `function` of `contract`, which takes `amount` of `token`, in base units, from the owner of `key`.

    Raises:
        ChainError: as Chain.send; what is refused for another reason than the allowance is refused before it.
    """
    try:
        chain.try_out(contract, function, *arguments, key=key)
    except ChainError as error:
        allowed = chain.call(token, "allowance", address_of(key), contract.address)
        if allowed >= amount or error.name not in NOT_ALLOWED:
            raise
        chain.send(token, "approve", contract.address, amount, key=key)
    return chain.send(contract, function, *arguments, key=key)
