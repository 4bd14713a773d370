"""What a gateway is configured to do, and where each value comes from; refuses what it does not know, changes nothing.

    option  >  TINYREN_SECTION_KEY  >  config.d/*.toml, the last name first  >  config.toml  >  default

The files lie in the site's folder; those of the system's gateway (/var/lib/tinyren) in /etc/tinyren. Paths in a file
are relative to the file. All that is wrong in one source is found at the same place: file and line, or variable.
"""

import os
import tomllib
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gateway.configuration import settings
from gateway.configuration.settings import BY_NAME, FILE, SECTIONS, SETTINGS, Misfit, Setting
from gateway.errors import CommandError, Exit

NAME = "config.toml"
OVERLAYS = "config.d"
SYSTEM_SITE, SYSTEM_CONFIG = Path("/var/lib/tinyren"), Path("/etc/tinyren")
DEFAULT_SITE = Path("site")
MAX_FILE_BYTES = 1 << 20


class Origin(NamedTuple):
    """A value and where it comes from: an option, a variable, FILE:LINE or "default"."""

    value: Any
    place: str


class Configuration:
    """All settings, each with a value.

    Attributes:
        origins: by the setting's name.
    """

    def __init__(self, origins: Mapping[str, Origin]) -> None:
        self.origins = origins

    @property
    def values(self) -> dict[str, Any]:
        return {name: origin.value for name, origin in self.origins.items()}

    def is_set(self, name: str) -> bool:
        """Whether somebody chose the value."""
        return self.origins[name].place != "default"

    def options(self) -> dict[str, Any]:
        """The settings as `tinyren up` has them after parsing: None where nobody chose a value, files as paths."""
        found = {}
        for setting in SETTINGS:
            value = self.origins[setting.name].value
            if setting.option:
                is_chosen = self.is_set(setting.name) and value != ""
                found[setting.option] = (Path(value) if setting.kind is FILE else value) if is_chosen else None
        return found

    def rows(self) -> list[dict[str, Any]]:
        """For a person or `--json`: name, value (secrets cut) and origin."""
        return [
            {
                "name": name,
                "value": settings.shown(BY_NAME[name], origin.value),
                "origin": origin.place,
                "says": BY_NAME[name].says,
            }
            for name, origin in self.origins.items()
        ]


def default_site() -> Path:
    """The site that a command means that names none: ./site, or the system's if that is there and ./site is not."""
    return SYSTEM_SITE if SYSTEM_SITE.is_dir() and not DEFAULT_SITE.exists() else DEFAULT_SITE


def made_site(site: Path | None) -> Path:
    """The folder of a gateway that is made, `site` or the default one. CommandError: there is none."""
    folder = site or default_site()
    if (folder_of(folder) / NAME).exists() or (folder / "site.toml").exists():
        return folder
    raise CommandError(f"{folder}: there is no gateway here; make one: tinyren gateway init {folder}", Exit.USAGE)


def folder_of(site: Path) -> Path:
    """Where the configuration of a site lies."""
    return SYSTEM_CONFIG if site == SYSTEM_SITE else site


def load(
    site: Path,
    options: Mapping[str, Any] | None = None,
    assigned: Mapping[str, str] | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Configuration:
    """The configuration of a site, made or not.

    Args:
        options: what a command line chose, by `Setting.option`; None: not chosen.
        assigned: what it chose by --set, text by the setting's name.
    Raises:
        CommandError: a file that cannot be read, an unknown name, a value that does not fit.
    """
    origins = {setting.name: Origin(setting.default, "default") for setting in SETTINGS}
    for path in files(folder_of(site)):
        origins |= _read(path)
    origins |= _variables(environment)
    for name, text in (assigned or {}).items():
        with _at("--set"):
            setting = BY_NAME[name]
            origins[name] = Origin(_there(setting, settings.parse(setting, text), Path()), "--set")
    for setting in SETTINGS:
        value = (options or {}).get(setting.option)
        if value not in (None, []):
            place = "--" + setting.option.replace("_", "-")
            with _at(place):
                is_text = isinstance(value, str | Path)
                value = settings.parse(setting, str(value)) if is_text else settings.check(setting, value)
            origins[setting.name] = Origin(value, place)
    return Configuration(origins)


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """Text by the setting's name, of options SECTION.KEY=VALUE. CommandError: an unknown name, or no value."""
    found = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise CommandError(f"--set: got {text[:60]!r}, wanted SECTION.KEY=VALUE", Exit.USAGE)
        with _at("--set"):
            found[settings.find(name.strip()).name] = value
    return found


def files(folder: Path) -> list[Path]:
    """The files that are there, the weakest first."""
    return [path for path in (folder / NAME, *sorted((folder / OVERLAYS).glob("*.toml"))) if path.exists()]


def configured(arguments: Namespace) -> tuple[Namespace, Configuration]:
    """Arguments of `tinyren up` with the settings that they leave to files and environment."""
    found = load(Path(arguments.site), vars(arguments), assignments(getattr(arguments, "set", [])))
    places = {name: origin.place for name, origin in found.origins.items()}
    return Namespace(**vars(arguments) | found.options(), places=places), found


def _read(path: Path) -> dict[str, Origin]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise CommandError(f"{path}: got over {MAX_FILE_BYTES} bytes, wanted a configuration", Exit.USAGE)
        text = raw.decode()
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandError(f"{path}: {error}; wanted TOML", Exit.USAGE) from error
    found = {}
    for section, keys in table.items():
        if not isinstance(keys, dict):
            known = f"wanted it in a section, one of [{'] ['.join(SECTIONS)}]"
            raise CommandError(f"{_place(path, text, '', section)}: {section[:60]}: {known}", Exit.USAGE)
        for key, value in keys.items():
            place = _place(path, text, section, key)
            with _at(place):
                setting = settings.find(f"{section}.{key}")
                found[setting.name] = Origin(_there(setting, settings.check(setting, value), path.parent), place)
    return found


def _variables(environment: Mapping[str, str]) -> dict[str, Origin]:
    names = {setting.variable: setting for setting in SETTINGS}
    found = {}
    for variable, text in environment.items():
        section, _, key = variable.removeprefix("TINYREN_").lower().partition("_")
        if variable.startswith("TINYREN_") and key and section in SECTIONS:
            with _at(variable):
                setting = names.get(variable) or settings.find(f"{section}.{key}")
                found[setting.name] = Origin(_there(setting, settings.parse(setting, text), Path()), variable)
    return found


@contextmanager
def _at(place: str) -> Iterator[None]:
    """What does not fit is told with its place."""
    try:
        yield
    except Misfit as error:
        raise CommandError(f"{place}: {error}", Exit.USAGE) from error


def _there(setting: Setting, value: Any, folder: Path) -> Any:
    """The value; a file's path made whole. Misfit: the file is not there."""
    if setting.kind is not FILE or not value:
        return value
    path = folder / value
    if not path.is_file():
        raise Misfit(f"{setting.name}: got {value!r}, wanted {FILE.wanted}")
    return str(path)


def _place(path: Path, text: str, section: str, key: str) -> str:
    """FILE:LINE of a key, FILE alone where no line is its own (an inline table)."""
    here = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if line.startswith("[") and not line.startswith("[["):
            here = line.strip("[]").partition("]")[0].strip().strip("\"'")
        name = line.partition("=")[0].strip().replace('"', "").replace("'", "").replace(" ", "")
        if "=" in line and f"{here}.{name}".strip(".") == f"{section}.{key}".strip("."):
            return f"{path}:{number}"
    return str(path)
