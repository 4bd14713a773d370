"""A transaction that is stuck pays more under the same nonce, within a limit, and is never two."""

import threading

import pytest
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import curve
from gateway.chain import sending
from gateway.chain.chain import Chain, ChainError, Contract, address_of, open_embedded
from gateway.chain.jsonrpc import RpcError
from gateway.chain.sending import BUMP_PERCENT, MOST_TIMES, Fees, fees_at
from tests.contract_scene import ANYONE, PAYER, A

PRICE = 10**9


class Pool:
    """A node in front of an embedded chain that keeps transactions back until they pay `least` wei a gas.

    before: a version that was there first, which is to be outbid; is_closed: nothing gets into a block.
    """

    def __init__(self, chain):
        self.chain, self.least, self.offers, self.waiting = chain, 0, [], {}
        self.is_closed, self.mines_first, self.outbid, self.known = False, False, 0, False
        self.lock = threading.Lock()

    def request(self, method, params):
        if method in ("eth_gasPrice", "eth_maxPriorityFeePerGas"):
            return hex(PRICE)
        try:
            return self.offer(params[0]) if method == "eth_sendRawTransaction" else self.chain.request(method, params)
        except ChainError as error:
            raise RpcError(error.code, error.reason, error.data) from error

    def offer(self, raw):
        with self.lock:
            fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
            fee, nonce = fields["maxFeePerGas"], fields["nonce"]
            self.offers.append((nonce, fee, fields["maxPriorityFeePerGas"]))
            if fee < self.outbid:
                raise RpcError(-32000, "replacement transaction underpriced")
            tx = "0x" + self.hash(raw).hex()
            self.waiting.setdefault(nonce, []).append(raw)
            if fee >= self.least and not self.is_closed:
                self.chain.request("eth_sendRawTransaction", [self.waiting[nonce][0 if self.mines_first else -1]])
            if self.known:
                raise RpcError(-32000, "already known")
            return tx

    def open(self):
        """Take what waits, and whatever comes."""
        with self.lock:
            self.is_closed = False
            for _, versions in sorted(self.waiting.items()):
                self.chain.request("eth_sendRawTransaction", [versions[-1]])

    @staticmethod
    def hash(raw):

        return curve.keccak(bytes.fromhex(raw[2:]))


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.setattr(sending, "STUCK_S", 0.01)
    monkeypatch.setattr(sending, "POLL_S", 0.002)
    chain = open_embedded(tmp_path / "chain.sqlite", (address_of(PAYER), address_of(ANYONE)))
    yield Pool(chain)
    chain.close()


@pytest.fixture
def deeds(pool):
    contract, _ = pool.chain.deploy("NodeDeed", address_of(PAYER), key=PAYER)
    return contract


def mint(pool, deeds, deed=1):
    return Chain(pool.request).send(deeds, "mint", deed, A, 1, key=PAYER)


def test_a_stuck_transaction_pays_more_under_the_same_nonce_until_it_is_taken(pool, deeds):
    pool.least = 5 * PRICE
    receipt = mint(pool, deeds)
    nonces, fees, tips = zip(*pool.offers, strict=True)
    assert set(nonces) == {1} and fees[0] == 2 * PRICE and fees[-2] < pool.least <= fees[-1]
    for values in (fees, tips):
        assert all(10 * after >= 11 * before for before, after in zip(values, values[1:], strict=False))
    assert pool.chain.call(deeds, "count") == 1 and receipt.block == pool.chain.block_number()


def test_whichever_version_is_mined_is_the_receipts(pool, deeds):
    pool.least, pool.mines_first = 3 * PRICE, True
    assert mint(pool, deeds).tx == "0x" + pool.hash(pool.waiting[1][0]).hex() and len(pool.waiting[1]) > 1


def test_what_an_earlier_process_left_at_the_nonce_is_outbid_at_once(pool, deeds):
    pool.outbid = 6 * PRICE
    assert mint(pool, deeds).block and [nonce for nonce, _, _ in pool.offers] == [1] * len(pool.offers)
    assert pool.offers[-1][1] >= pool.outbid > pool.offers[-2][1]


def test_a_node_that_knows_it_already_has_taken_it(pool, deeds):
    pool.known = True
    assert mint(pool, deeds).tx == "0x" + pool.hash(pool.waiting[1][-1]).hex()


def test_it_never_pays_more_than_the_limit_and_is_given_up_in_time(pool, deeds, monkeypatch):
    monkeypatch.setattr(sending, "WITHIN_S", 0.5)
    pool.is_closed, before = True, pool.chain.block_number()
    with pytest.raises(ChainError, match="NodeDeed.mint: 0x[0-9a-f]{64} is in no block after"):
        mint(pool, deeds)
    assert max(fee for _, fee, _ in pool.offers) <= MOST_TIMES * 2 * PRICE and len(pool.offers) > 5
    assert (pool.chain.block_number(), pool.chain.call(deeds, "count")) == (before, 0)
    pool.is_closed = False
    assert mint(pool, deeds).block == before + 1 and pool.offers[-1][0] == 1


def test_who_cannot_be_outbid_within_the_limit_is_left_alone(pool, deeds):
    pool.outbid = 1000 * PRICE
    with pytest.raises(ChainError, match="underpriced"):
        mint(pool, deeds)
    assert max(fee for _, fee, _ in pool.offers) <= MOST_TIMES * 2 * PRICE and pool.chain.call(deeds, "count") == 0


def test_a_nonce_that_went_to_another_transaction_is_said(pool, deeds):
    pool.is_closed = True
    offer = pool.offer

    def taken(raw):
        tx = offer(raw)
        if len(pool.offers) == 1:
            pool.chain.send(deeds, "mint", 1, A, 1, key=PAYER)  # somebody else with this key
        return tx

    pool.offer = taken
    with pytest.raises(ChainError, match="nonce 1 went to another transaction"):
        Chain(pool.request).deploy("NodeDeed", A, key=PAYER)
    assert pool.chain.call(deeds, "count") == 1


def test_threads_of_one_key_wait_for_nonces_of_their_own(pool, deeds):
    pool.is_closed = True
    chain, done = Chain(pool.request), []

    def run():
        try:
            done.append(chain.deploy("NodeDeed", A, key=PAYER)[1].block)
        except ChainError as error:
            done.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    while {nonce for nonce, _, _ in list(pool.offers)} != {1, 2, 3}:
        threads[0].join(0.01)
    pool.open()
    for thread in threads:
        thread.join(60)
    assert set(done) == {2, 3, 4}


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_a_bump_is_always_enough_for_a_node(price, tip):
    fees = fees_at(price, tip)
    more = fees.bumped()
    assert fees.tip <= fees.most and more.tip <= more.most
    assert 100 * more.most >= (100 + BUMP_PERCENT) * fees.most and more.tip > fees.tip
    assert more.at_least(fees) == more and Fees(1, 9).at_least(Fees(5, 2)) == Fees(5, 9)


def test_a_call_that_would_revert_is_never_sent(pool, deeds):
    with pytest.raises(ChainError, match="WrongDeed"):
        mint(pool, deeds, deed=5)
    assert pool.offers == [] and pool.chain.call(Contract("NodeDeed", deeds.address), "count") == 0
