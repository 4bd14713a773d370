"""Imports an agent package on CPython from memory, beside the agent of the checkout; nothing of it is written to disk.

Modules of a package import by relative names only, so they find each other and not the checkout's. On a board the
firmware does this (boards/).
"""

import importlib.abc
import importlib.util
import sys

from .package import Package

NAME = "tinyren_agent"


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of one package below NAME."""

    def __init__(self, package: Package):
        self._package = package

    def find_spec(self, fullname, path=None, target=None):
        top, *rest = fullname.split(".")
        if top != NAME:
            return None
        stem = "/".join(rest)
        for name, is_package in ((f"{stem}/__init__.py".lstrip("/"), True), (f"{stem}.py", False)):
            if name in self._package.files:
                return importlib.util.spec_from_loader(fullname, self, origin=name, is_package=is_package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        path = module.__spec__.origin
        exec(compile(self._package.read(path), f"{NAME}/{path}", "exec"), module.__dict__)


def load(bank, size: int):
    """The module `run` of the package in a bank (banks.Bank), `size` bytes of it.

    Raises:
        WireError: it is no package. Whatever its modules raise.
    """
    sys.meta_path.append(Finder(Package(bank.read, size)))
    return importlib.import_module(f"{NAME}.run")
