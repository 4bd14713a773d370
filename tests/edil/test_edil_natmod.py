"""EDIL's encryption as a native module on stock MicroPython of every core: the same bytes, refusals and heap."""

import pytest

from boards import natmod
from boards.board import board_names, load_board
from tests.edil_boards import check_heap, check_refusals, check_vectors, ignore, open_host

pytestmark = pytest.mark.alone
CODE_BUDGET_BYTES = 10 * 1024
HOSTS = [name for name in board_names() if load_board(name).natmod]


@pytest.fixture(scope="module", params=[*HOSTS, "unix"])
def host(request, tmp_path_factory):
    with open_host("natmod", request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def test_every_vector_is_encrypted_to_its_bytes(host):
    check_vectors(host)


def test_what_does_not_fit_is_refused_and_changes_nothing(host):
    check_refusals(host)


def test_neither_encryption_nor_moments_allocate(host):
    check_heap(host)


@pytest.mark.parametrize("arch", natmod.ARCHITECTURES)
def test_a_module_is_within_the_budget_of_code(arch):
    assert natmod.build_native_module(arch, ignore, natmod.EDIL_MODULE).stat().st_size <= CODE_BUDGET_BYTES
