"""What is set on a board with stock MicroPython, out of its settings.json; it opens nothing and never raises.

A value that is wrong is named, without being shown where it is secret, and counts as not set: a board with wrong
settings runs and can be told better ones. boards/settings.py writes the file and knows what may stand in it.
"""

import json

GATEWAYS = 4
MOST_BYTES = 2048
_TEXTS = {
    "ssid": (1, 32, "1 to 32 characters"),
    "password": (0, 63, "8 to 63 characters, or none"),
    "name": (1, 32, "1 to 32 characters"),
    "sensors": (1, 64, "drivers as tmp105 or bme280:0+lis2dh12"),
}


def decode_settings(data):
    """({name: value} of what is right, [what is wrong, a line each]).

    Args:
        data: bytes of settings.json, b"" where there is none.
    Values are text, but `gateways`: a list of (host, port number), and `sensors`: a list of (driver, places or None).
    """
    try:
        found = json.loads(data) if data else {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or len(data) > MOST_BYTES:
        return {}, ["settings.json: got no object of settings; write it again by: tinyren settings"]
    settings, wrong = {}, []
    for name, value in sorted(found.items()):
        try:
            settings[name] = _decode(name, value)
        except ValueError as error:
            wrong.append(name + ": got " + str(error))
    if "ssid" in settings and "gateways" not in settings:
        wrong.append("gateways: got none, wanted HOST:PORT of the site; without it the board speaks at its console")
    return settings, wrong


def _decode(name, value):
    if not isinstance(value, str):
        raise ValueError("no text, wanted text")
    if name == "gateways":
        places = value.split(",")
        if len(places) > GATEWAYS:
            raise ValueError(str(len(places)) + " of them, wanted at most " + str(GATEWAYS))
        return [_place(place) for place in places]
    if name not in _TEXTS:
        raise ValueError("a setting that this version does not know; it is left out")
    least, most, wanted = _TEXTS[name]
    size = len(value.encode())
    if not least <= size <= most or name == "password" and 0 < size < 8:
        raise ValueError(str(size) + " bytes, wanted " + wanted)
    return [_driver(part) for part in value.split("+")] if name == "sensors" else value


def _place(text):
    host, _, number = text.rpartition(":")
    if not host or not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError(repr(text[:40]) + ", wanted HOST:PORT")
    return host, int(number)


def _driver(text):
    name, _, places = text.partition(":")
    if not name or not all([char.isdigit() or "a" <= char <= "z" for char in name]) or places and not places.isdigit():
        raise ValueError(repr(text[:40]) + ", wanted " + _TEXTS["sensors"][2])
    return name, tuple([int(place) for place in places]) if places else None
