"""Base38: octets in the letters that QR's alphanumeric mode packs best; refuses every text that is not an encoding.

Three octets, the first the least significant, are five characters, the first the least significant; two are four, one
is two.

Source: Matter 1.0 core specification, 5.1.3.1 (Base-38 encoding of the onboarding payload).
"""

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-."
_CHARACTERS = {3: 5, 2: 4, 1: 2}  # by octets of a group
_OCTETS = {characters: octets for octets, characters in _CHARACTERS.items()}
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


class Base38Error(ValueError):
    """The text is no Base38; the message says where."""


def encode(data: bytes) -> str:
    """Octets -> text; 33 octets are 55 characters."""
    return "".join(_encode_group(data[at : at + 3]) for at in range(0, len(data), 3))


def decode(text: str) -> bytes:
    """Text -> octets.

    Raises:
        Base38Error: a character outside the alphabet, a length that no data has, or a group that stands for too much.
    """
    return b"".join(_decode_group(text[at : at + 5], at) for at in range(0, len(text), 5))


def _encode_group(octets: bytes) -> str:
    value = int.from_bytes(octets, "little")
    characters = []
    for _ in range(_CHARACTERS[len(octets)]):
        value, digit = divmod(value, 38)
        characters.append(ALPHABET[digit])
    return "".join(characters)


def _decode_group(characters: str, at: int) -> bytes:
    octets = _OCTETS.get(len(characters))
    if octets is None:
        raise Base38Error(f"length: got {at + len(characters)} characters, wanted groups of 5 and a last of 5, 4 or 2")
    value = 0
    for offset, character in reversed(list(enumerate(characters))):
        if character not in _VALUES:
            raise Base38Error(f"character {at + offset + 1}: got {character!r}, wanted one of {ALPHABET}")
        value = value * 38 + _VALUES[character]
    if value >> 8 * octets:
        raise Base38Error(f"characters {at + 1} to {at + len(characters)}: got more than {octets} octets hold")
    return value.to_bytes(octets, "little")
