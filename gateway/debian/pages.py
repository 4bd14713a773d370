"""What the package tells: manual page, completion, first configuration, copyright; all of it read off the program."""

import argparse
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

from gateway import cli
from gateway.configuration import settings
from gateway.errors import Exit

VERSION = cli.VERSION
MAINTAINER = "tinyren authors <tinyren@localhost>"
_TROUBLES = {
    Exit.OK: "ok",
    Exit.FAILED: "failed",
    Exit.USAGE: "wrong usage, wrong configuration, or something is missing",
    Exit.REFUSED: "refused, because it would do harm or does not match",
    Exit.NOTHING_TO_DO: "nothing to do",
    Exit.PORT: "a port is in use or not there",
    Exit.TIMEOUT: "no answer in time",
    Exit.TRUST: "a signature or certificate is not as it must be",
    Exit.CHAIN: "the chain refused or did not answer; try again",
}
_FILES = (
    ("/etc/tinyren/config.toml, /etc/tinyren/config.d/*.toml", "the gateway's configuration"),
    ("/var/lib/tinyren", "what the gateway keeps: keys, evidence, chain, stores; only a purge removes it"),
    ("/usr/lib/tinyren", "the program and the packages that it uses"),
    ("/usr/share/doc/tinyren", "guides"),
)


def configuration() -> bytes:
    """The first configuration: every setting with its sentence, and no emulated boards."""
    return settings.template({"site.boards": []}).encode()


def completion() -> bytes:
    """What bash completes."""
    import shtab

    text: str = shtab.complete(cli.parser(), "bash")
    return text.encode()


def manual() -> bytes:
    """tinyren(1), in roff."""
    lines = [
        f'.TH TINYREN 1 "" "tinyren {VERSION}" "User Commands"',
        *(".SH NAME", r"tinyren \- Ratio1 Edge Nodes out of microcontrollers, and their gateway"),
        *(".SH SYNOPSIS", r"\fBtinyren\fR \fICOMMAND\fR [\fIOPTION\fR]..."),
        *(".SH DESCRIPTION", "A gateway checks what devices sign, keeps the evidence, and takes it to a chain, which"),
        "pays the owners of the devices' Node Deeds. The service of this package runs one; these commands set up,",
        r"look after and use it. \fBtinyren COMMAND \-\-help\fR lists a command's options.",
        ".SH COMMANDS",
    ]
    for names, text in _commands(cli.parser()):
        lines += [".TP", rf"\fB{_roff(names)}\fR", _roff(text)]
    lines.append(".SH FILES")
    for path, text in _FILES:
        lines += [".TP", rf"\fI{_roff(path)}\fR", _roff(text)]
    lines += [".SH ENVIRONMENT", ".TP", r"\fBTINYREN_\fISECTION\fB_\fIKEY\fR"]
    lines += [r"replaces a setting of the configuration, for instance \fBTINYREN_PAGE_PORT\fR", ".SH EXIT STATUS"]
    for code, text in _TROUBLES.items():
        lines += [".TP", rf"\fB{int(code)}\fR", text]
    lines += [".SH SEE ALSO", r".BR mosquitto (8), .BR journalctl (1)".replace(", .BR", ",\n.BR")]
    return "\n".join([*lines, ""]).encode()


def copyright_of(packages: Path) -> bytes:
    """Debian's copyright file: tinyren's licence, and of each package inside the licence that it states."""
    parts = [
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: tinyren",
        "Files: *\nCopyright: tinyren authors\nLicense: Apache-2.0",
        "License: Apache-2.0\n On Debian systems the text is in /usr/share/common-licenses/Apache-2.0.",
    ]
    stated = [_licence(path.read_text(errors="replace")) for path in sorted(packages.glob("*.dist-info/METADATA"))]
    inside = "\n".join(stated)
    whose = "Copyright: the authors of each package\nLicense: others"
    parts.append(f"Files: usr/lib/tinyren/*\n{whose}\nComment:\n{inside}")
    parts.append("License: others\n Each package's own licence files are in its .dist-info folder.")
    return ("\n\n".join(parts) + "\n").encode()


def _licence(metadata: str) -> str:
    """One line of name, version and licence."""
    fields = HeaderParser().parsestr(metadata)
    classes = [text.rpartition(" :: ")[2] for text in fields.get_all("Classifier", []) if text.startswith("License")]
    first_line = str(fields.get("License", "")).partition("\n")[0]
    stated = fields.get("License-Expression") or " and ".join(classes) or first_line or "see its files"
    return f" {fields['Name']} {fields['Version']}: {stated}"


def _commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[tuple[str, str]]:
    """(words, one sentence) of each command, and of the commands inside it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield f"{before}{name}", helps.get(name, "")
                yield from _commands(inner, f"{before}{name} ")


def _roff(text: str) -> str:
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    return r"\&" + safe if safe[:1] in (".", "'") else safe
