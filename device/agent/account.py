"""The device's account at the broker: device and gateway derive it, each from its own key, and tell it to no one else.

It refuses to keep the password: after a reset it is derived again. Source: WIRE.md, 15; RFC 5869.
"""

from binascii import hexlify

from . import hkdf, wire
from .errors import WireError

_NAME_BYTES = 8


def derive(agreed: bytes, device_id: bytes, gateway: bytes):
    """What a device is at a gateway's broker -> (client id, (user, password)), text.

    Args:
        agreed: 32 bytes that device and gateway agreed by ECDH. device_id: 20 bytes. gateway: its key, 33 bytes.
    """
    name = hkdf.hkdf_sha256(agreed, gateway, b"tinyren broker client" + device_id)[:_NAME_BYTES]
    password = hkdf.hkdf_sha256(agreed, gateway, b"tinyren broker password" + device_id)
    user = _digits(device_id)
    return user + "-" + _digits(name), (user, _digits(password))


def enter(client, identity, payload, now_ms: int):
    """Act on a message on tinyren/ID/account: come back to the broker with the account, unless it is in use already.

    Args:
        client: mqtt.Client. identity: identity.Identity. payload: view or bytes; an empty one takes the message back.
    Raises:
        WireError: it holds no key. Nothing changed.
    """
    if not len(payload):
        return
    gateway = wire.decode_account(payload)
    try:
        agreed = identity.agree(gateway)
    except ValueError as error:
        raise WireError("malformed", "key: got no point of the curve, wanted a compressed public key") from error
    client_id, account = derive(agreed, identity.id, gateway)
    if client.account != account:
        client.enter(client_id, wire.topic(identity.id, "gone"), account, now_ms)


def _digits(data):
    return hexlify(data).decode()
