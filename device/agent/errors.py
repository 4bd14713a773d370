"""The agent's errors, one small tree; a message names the field, what was got and what was wanted, and never a key.

AgentError
  WireError    foreign bytes are not the message they should be; `reason` is one of wire.REASONS
    CBORError  the same, found by the CBOR decoder; `offset` is the byte at which it was found
  PeerError    the broker's bytes are not MQTT 3.1.1, or not what its state allows
  StoreError   the store cannot hold a record
  LocalError   the caller misused a function: a field of our own that cannot be encoded
"""


class AgentError(Exception):
    pass


class WireError(AgentError):
    def __init__(self, reason, message):
        super().__init__(message)
        self.reason = reason


class CBORError(WireError):
    def __init__(self, reason, offset, got, wanted):
        super().__init__(reason, f"offset {offset}: got {got}, wanted {wanted}")
        self.offset = offset


class PeerError(AgentError):
    pass


class StoreError(AgentError):
    pass


class LocalError(AgentError):
    pass
