"""What a person asks of Deeploy, signed: made and judged, pure; refuses who may not ask, and what was asked before.

A Request is EIP-712, domain {name "tinyren Deeploy", version "1", chainId, verifyingContract = Devices}:

    Request(bytes32 job,uint8 action,uint256 nonce,uint256 deadline)

job is the SHA-256 digest in the CID of a document (documents.py), which lies in R1FS. What `judge` refuses, by name:
  chain     another chain or contract than the site's
  expired   its deadline, in seconds since 1970, has passed
  stranger  signed by somebody who is neither the update key nor an operator
  nonce     not above the signer's last: it was applied, or a later one was
The nonce is stored in the record that the request changes, by the same write (desired.py), so it is applied once or not
at all.
Source: EIP-712; the signature is 65 bytes r | s | v, v 27 or 28, s in the lower half.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from coincurve import PublicKey

from device.agent import eip712
from gateway import curve

REQUEST_TYPE = b"Request(bytes32 job,uint8 action,uint256 nonce,uint256 deadline)"
NAME = b"tinyren Deeploy"
APPLY, PAUSE, RESUME, ROLLBACK, LABEL = range(1, 6)
ACTIONS = {"apply": APPLY, "pause": PAUSE, "resume": RESUME, "rollback": ROLLBACK, "label": LABEL}
NONCE_MAX = (1 << 53) - 1
SIGNATURE_BYTES = 65


class Refused(Exception):
    """A request or job that is not taken, and nothing changed; `reason` is one word, the message one line."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """chain_id and contract (20 bytes) are its domain; job 32 bytes; deadline_s since 1970; signature 65 bytes."""

    chain_id: int
    contract: bytes
    job: bytes
    action: int
    nonce: int
    deadline_s: int
    signature: bytes = b""

    def digest(self) -> bytes:
        """What is signed, 32 bytes."""
        struct = eip712.hash_struct(curve.keccak, REQUEST_TYPE, self.job, self.action, self.nonce, self.deadline_s)
        return eip712.digest(curve.keccak, eip712.hash_domain(curve.keccak, NAME, self.chain_id, self.contract), struct)


def sign(request: Request, sign_recoverable: Callable[[bytes], bytes]) -> Request:
    """The request with its signature; sign_recoverable: digest -> 65 bytes r | s | recovery id."""
    signature = sign_recoverable(request.digest())
    return replace(request, signature=signature[:64] + bytes([27 + signature[64]]))


def signer_of(request: Request) -> bytes | None:
    """Address (20 bytes) of whose signature it is; None: it is nobody's."""
    signature = request.signature
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28) or not curve.is_low_s(signature):
        return None
    try:
        plain = signature[:64] + bytes([signature[64] - 27])
        return curve.address(PublicKey.from_signature_and_message(plain, request.digest(), hasher=None).format())
    except ValueError:
        return None


def judge(
    request: Request,
    domain: tuple[int, bytes],
    allowed: Collection[bytes],
    last_nonce: Callable[[bytes], int],
    now_s: int,
) -> bytes:
    """The signer of a request that may be applied.

    Args:
        domain: chain id and contract of the site. allowed: addresses of who may ask. last_nonce: of a signer, 0: none.
    Raises:
        Refused: as the module says.
    """
    if (request.chain_id, request.contract) != domain:
        got = f"chain {request.chain_id}, contract 0x{request.contract.hex()}"
        raise Refused("chain", f"request: got {got}, wanted chain {domain[0]}, contract 0x{domain[1].hex()}")
    signer = signer_of(request)
    if signer is None or signer not in allowed:
        who = "nobody" if signer is None else f"0x{signer.hex()}"
        raise Refused("stranger", f"request: signed by {who}, wanted the update key or an operator; see docs/jobs.md")
    if now_s > request.deadline_s:
        raise Refused("expired", f"deadline: got {request.deadline_s}, it is {now_s}; ask again")
    last = last_nonce(signer)
    if not last < request.nonce <= NONCE_MAX:
        raise Refused("nonce", f"nonce: got {request.nonce}, wanted above {last}: this or a later one was applied")
    return signer
