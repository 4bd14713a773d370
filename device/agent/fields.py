"""Checks of decoded values, each against what a message wants; refuses by WireError and changes nothing.

Each returns what it was given, so that a decoder is a list of checks. A value of another type is `wrong_type`; one of
the right type outside its length or range is `malformed`.
"""

from .errors import WireError


def take_claims(claims, name, labels):
    """The values of `labels` in their order, of a map that has these labels and no other."""
    if type(claims) is not dict:
        raise WireError("wrong_type", f"{name}: got {type(claims).__name__}, wanted a map")
    for label in labels:
        if label not in claims:
            raise WireError("missing_claim", f"{name}: got no label {label}, wanted it")
    if len(claims) != len(labels):
        raise WireError("unknown_claim", f"{name}: got {len(claims)} labels, wanted {len(labels)}")
    return [claims[label] for label in labels]


def take_fields(items, name, kinds):
    """The items of an array that has as many as `kinds`, each of its kind."""
    if type(items) is not list:
        raise WireError("wrong_type", f"{name}: got {type(items).__name__}, wanted an array")
    if len(items) != len(kinds):
        raise WireError("malformed", f"{name}: got {len(items)} fields, wanted {len(kinds)}")
    for index, kind in enumerate(kinds):
        if type(items[index]) is not kind:
            got = type(items[index]).__name__
            raise WireError("wrong_type", f"{name}, field {index}: got {got}, wanted {kind.__name__}")
    return items


def check_int(value, name, low, high):
    if type(value) is not int:
        raise WireError("wrong_type", f"{name}: got {type(value).__name__}, wanted int")
    if not low <= value <= high:
        raise WireError("malformed", f"{name}: got {value}, wanted {low}..{high}")
    return value


def check_bytes(value, name, size_bytes):
    if type(value) is not bytes:
        raise WireError("wrong_type", f"{name}: got {type(value).__name__}, wanted bytes")
    if size_bytes is not None and len(value) != size_bytes:
        raise WireError("malformed", f"{name}: got {len(value)} bytes, wanted {size_bytes}")
    return value


def check_text(value, name, max_bytes):
    if not 1 <= len(value.encode()) <= max_bytes:
        raise WireError("malformed", f"{name}: got {len(value.encode())} bytes, wanted 1..{max_bytes}")
    return value
