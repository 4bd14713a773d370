"""A gateway's binding routes (binding_http.py) for `tinyren bind`; believes nothing that it is told to sign.

The key signs only a Binding of this site's contract, of the deed that was named, of the device on the label,
and for the key's own address, or a Release of the device that was named; what differs is refused and nothing is signed.
"""

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from coincurve import PrivateKey

from gateway import curve
from gateway.binding.pending import Binding, Refused, read_typed_data
from gateway.binding.releasing import Release
from gateway.errors import Exit
from gateway.labels import payload
from gateway.oracle.epoch import sign_digest
from gateway.text import one_line

TIMEOUT_S = 180  # the gateway waits for the device, and up to 120 s for a block
MAX_ANSWER_BYTES = 64 << 10
CODES = {"chain": Exit.CHAIN, "silent": Exit.TIMEOUT, "device": Exit.TRUST, "malformed": Exit.TRUST}  # by reason


class GatewayAway(Exception):
    """The gateway did not answer, or not what was asked; one line."""


def bind(url: str, label: str, deed: int, key: PrivateKey, contract: bytes) -> dict[str, Any]:
    """Bind the device of a label to a deed that `key` owns: {"deed", "device", "owner", "tx"}.

    Args:
        url: of the page. label: a QR code's text, or the manual code.
        contract: the site's Devices, 20 bytes.
    Raises:
        Refused: by the gateway, or what it wants signed is not what was asked for. GatewayAway: no answer.
    """
    found = _post(url, "find", {"label": label})
    typed = _post(url, "ask", {"token": _text(found, "token"), "deed": deed})
    binding = read_typed_data(typed)
    _compare(binding, label, deed, curve.address_of(key.secret), contract)
    signature = sign_digest(binding.digest(), key)
    return _post(url, "sign", {"token": _text(found, "token"), "signature": "0x" + signature.hex()})


def release(url: str, device: bytes, key: PrivateKey, contract: bytes) -> dict[str, Any]:
    """Have a device that the chain released forget its owner, `key`: {"device", "boot"}.

    Args:
        url, contract: as of bind. device: 20 bytes.
    Raises:
        Refused, GatewayAway: as bind.
    """
    named = {"device": "0x" + device.hex(), "owner": "0x" + curve.address_of(key.secret).hex()}
    typed = _post(url, "release", named)
    try:
        chain_id, boot = int(typed["domain"]["chainId"]), int(typed["message"]["boot"])
    except (KeyError, TypeError, ValueError) as error:
        raise GatewayAway(f"{url}: wanted a Release to sign") from error
    wanted = Release(chain_id, contract, device, curve.address_of(key.secret), boot)
    if typed != wanted.typed_data():
        raise Refused("malformed", "the gateway wants something else signed than was asked for: nothing was signed")
    signature = sign_digest(wanted.digest(), key)
    return _post(url, "released", {**named, "boot": boot, "signature": "0x" + signature.hex()})


def identify(url: str, device: bytes, seconds: int) -> None:
    """Have a device blink; raises as bind."""
    _post(url, "identify", {"device": "0x" + device.hex(), "seconds": seconds})


def _compare(binding: Binding, label: str, deed: int, owner: bytes, contract: bytes) -> None:
    is_whole = payload.without_page(label).startswith(payload.PREFIX)
    device = payload.decode(label).device if is_whole else binding.device
    if binding.owner != owner:
        raise Refused("owner", f"--key: its address is 0x{owner.hex()}, but deed {deed} is 0x{binding.owner.hex()}'s")
    if (binding.deed, binding.device, binding.contract) != (deed, device, contract):
        raise Refused("malformed", "the gateway wants another binding signed than was asked for: nothing was signed")


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise GatewayAway(f"{name}: wanted text from the gateway")
    return value


def _post(url: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/binding/{name}", data, {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read(MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        raise _refused(url, error) from None
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise GatewayAway(f"{url}: {one_line(error)}; wanted a site that runs: `tinyren up`") from error
    if not isinstance(found, dict):
        raise GatewayAway(f"{url}: wanted an object")
    return found


def _refused(url: str, error: urllib.error.HTTPError) -> Exception:
    try:
        told = json.loads(error.read(MAX_ANSWER_BYTES))
        return Refused(one_line(told["error"]), one_line(told["message"]))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, RecursionError):
        return GatewayAway(f"{url}: HTTP {error.code}, wanted the page of a tinyren site")
