"""`tinyren config`: what a gateway is configured to do and why, and what can be set; writes no configuration."""

import textwrap
from argparse import Namespace
from pathlib import Path
from typing import Any

from gateway.commands.arguments import print_json
from gateway.configuration import configuration, settings
from gateway.configuration.toml_values import encode
from gateway.errors import Exit


def add_config(commands: Any) -> None:
    """The command `config` and its verbs."""
    verbs = commands.add_parser("config", help="show what a gateway is configured to do").add_subparsers(
        metavar="VERB", required=True
    )
    show = verbs.add_parser("show", help="every setting's value")
    show.add_argument("site", nargs="?", type=Path, metavar="DIR", help="the gateway's folder (default: site)")
    show.add_argument("--origin", action="store_true", help="also say where each value comes from")
    show.add_argument("--json", action="store_true", help="print one JSON object")
    show.set_defaults(run=run_show)
    describe = verbs.add_parser("describe", help="every setting, what it is for and what it takes")
    describe.add_argument("--write", type=Path, metavar="FILE", help="write them as Markdown")
    describe.add_argument("--json", action="store_true", help="print one JSON object")
    describe.set_defaults(run=run_describe)


def run_show(arguments: Namespace) -> int:
    rows = configuration.load(arguments.site or configuration.default_site()).rows()
    if arguments.json:
        print_json({"settings": rows})
        return Exit.OK
    for row in rows:
        origin = f"  # {row['origin']}" if arguments.origin else ""
        print(f"{row['name']} = {encode(row['value'])}{origin}")
    return Exit.OK


def run_describe(arguments: Namespace) -> int:
    if arguments.json:
        names = ("name", "default", "says", "variable")
        rows = [{name: getattr(one, name) for name in names} | {"wanted": one.kind.wanted} for one in settings.SETTINGS]
        print_json({"settings": rows})
    elif arguments.write:
        arguments.write.write_text(markdown())
    else:
        for one in settings.SETTINGS:
            print(f"{one.name} = {encode(one.default)}")
            print(textwrap.indent(textwrap.fill(f"{one.says} Wanted: {one.kind.wanted}.", 76), "  "))
    return Exit.OK


def markdown() -> str:
    """docs/configuration.md."""
    head = """# Configuration of a gateway

Written by `tinyren config describe --write docs/configuration.md` from configuration/settings.py; a test compares.

```
tinyren gateway init mysite                      # writes mysite/config.toml with every setting, commented
tinyren config show mysite --origin              # what holds, and which file, variable or option says so
TINYREN_PAGE_PORT=9000 tinyren gateway up mysite # a variable, for one start
tinyren gateway up mysite --set page.port=9000   # an option, for one start
```

An option goes before a variable `TINYREN_SECTION_KEY`, that before the files of `config.d` (`*.toml`, the last name
first), those before `config.toml`, that before the default. The files lie in the gateway's folder; those of the gateway
that the package runs, whose folder is `/var/lib/tinyren`, in `/etc/tinyren`. Paths in a file are relative to that file.
In a variable or an option a list has commas between its items. A name that is not known is refused, and the nearest is
named. Values marked secret are shown as `set` and nothing else, everywhere.

"""
    lines = ["| setting | what it is for | wanted | default |", "| --- | --- | --- | --- |"]
    for one in settings.SETTINGS:
        secret = " Secret." if one.is_secret else ""
        lines.append(f"| `{one.name}` | {one.says}{secret} | {one.kind.wanted} | `{encode(one.default)}` |")
    return head + "\n".join(lines) + "\n"
