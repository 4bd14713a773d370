"""What every run of the tests shares: no garbage is looked for while thousands of them are collected, which would take
half of that time. It defines no fixture.
"""

import gc

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
