"""What the contracts must do and refuse, one function each.

test_contracts.py runs them on the contracts, test_contract_mutants.py on broken ones, to show that they bite.
"""

from gateway.chain.chain import address_of
from tests.contract_scene import (
    ANYONE,
    BINDING,
    DEADLINE,
    DEVICES,
    EVIDENCE,
    ORACLES,
    OWNERS,
    PAYER,
    STRANGER,
    A,
    B,
    flipped,
    sign,
    with_epoch_cap,
)

R1_CAP_WEI = 161_803_398 * 10**18
D = [address_of(device) for device in DEVICES]


def a_device_is_bound_by_two_signatures_whoever_brings_them(scene):
    scene.bind(1, 0)
    assert scene.bound(1) == (D[0],) and scene.settlement.deed_of(D[0]) == 1
    event = scene.chain.events(scene.devices, "Bound")[0]
    assert event.arguments == {"deed": 1, "device": D[0], "owner": A, "board": b"board".ljust(32, b"\0")}


def a_binding_needs_the_devices_own_signature(scene):
    for other in (DEVICES[1], OWNERS[0]):
        scene.refuses("WrongSignature", scene.bind, 1, 0, signers=(OWNERS[0], other))


def a_binding_needs_the_deed_owners_signature(scene):
    for other in (OWNERS[1], DEVICES[0]):
        scene.refuses("WrongSignature", scene.bind, 1, 0, signers=(other, DEVICES[0]))
    scene.refuses("WrongSignature", scene.bind, 1, 0, owner=STRANGER)


def a_binding_signed_with_another_value_is_refused(scene):
    others = {"deed": 2, "device": D[1], "owner": B, "board": b"x" * 32, "nonce": 1, "deadline": 9}
    for name, value in others.items():
        scene.refuses("WrongSignature", scene.bind, 1, 0, signed={name: value})


def a_binding_for_another_chain_or_contract_is_refused(scene):
    for changed in ({"chainId": 1}, {"verifyingContract": scene.deeds.address}, {"version": "2"}, {"name": "other"}):
        scene.refuses("WrongSignature", scene.bind, 1, 0, domain=changed)


def a_binding_signed_in_another_form_is_refused(scene):
    told = (1, D[0], A, bytes(32), 0, DEADLINE)
    good = [sign(signer, scene.domain(scene.devices), "Binding", BINDING, told) for signer in (OWNERS[0], DEVICES[0])]
    for which in (0, 1):
        for bad in (flipped(good[which]), good[which][:64], good[which] + b"\0"):
            signatures = [bad if which == place else item for place, item in enumerate(good)]
            arguments = (1, D[0], bytes(32), DEADLINE, *signatures)
            scene.refuses("WrongSignature", scene.chain.send, scene.devices, "bind", *arguments, key=ANYONE)


def a_binding_after_its_deadline_is_refused(scene):
    scene.refuses("Expired", scene.bind, 1, 0, deadline=1_000)


def a_binding_cannot_be_played_again(scene):
    scene.bind(1, 0)
    scene.chain.send(scene.devices, "release", D[0], key=OWNERS[0])
    scene.refuses("WrongSignature", scene.bind, 1, 0, nonce=0)
    scene.bind(1, 0)
    assert scene.bound(1) == (D[0],)


def the_zero_address_is_no_device_however_bad_the_signature(scene):
    zero = "0x" + "00" * 20
    told = (1, zero, A, bytes(32), 0, DEADLINE)
    by_owner = sign(OWNERS[0], scene.domain(scene.devices), "Binding", BINDING, told)
    for bad in (b"", bytes(65), bytes(64) + b"\x1b"):
        arguments = (1, zero, bytes(32), DEADLINE, by_owner, bad)
        scene.refuses("WrongSignature", scene.chain.send, scene.devices, "bind", *arguments, key=ANYONE)


def an_owner_that_is_a_contract_signs_by_erc_1271(scene):
    yes, no = scene.wallet(agrees=True), scene.wallet(agrees=False)
    for deed, wallet in ((3, yes), (4, no)):
        scene.settlement.mint_deed(deed, wallet, 1)
    for deed, wallet in ((4, no), (3, yes)):
        values = (deed, D[0], wallet, bytes(32), 0, DEADLINE)
        by_device = sign(DEVICES[0], scene.domain(scene.devices), "Binding", BINDING, values)
        arguments = (deed, D[0], bytes(32), DEADLINE, b"any", by_device)
        if wallet == no:
            scene.refuses("WrongSignature", scene.chain.send, scene.devices, "bind", *arguments, key=ANYONE)
        else:
            scene.chain.send(scene.devices, "bind", *arguments, key=ANYONE)
    assert scene.bound(3) == (D[0],)


def a_deed_that_is_not_there_binds_nothing(scene):
    scene.refuses("ERC721NonexistentToken", scene.bind, 3, 0)


def a_deed_has_no_more_devices_than_slots(scene):
    scene.bind(1, 0)
    scene.bind(1, 1)
    scene.refuses("SlotsTaken", scene.bind, 1, 2)
    scene.chain.send(scene.devices, "release", D[0], key=OWNERS[0])
    scene.bind(1, 2)
    assert set(scene.bound(1)) == {D[1], D[2]}


def a_device_has_one_deed(scene):
    scene.bind(1, 0)
    scene.refuses("AlreadyBound", scene.bind, 2, 0, owner=OWNERS[1])
    scene.refuses("AlreadyBound", scene.bind, 1, 0)


def only_the_deeds_owner_releases_a_device(scene):
    scene.bind(1, 0)
    for who in (ANYONE, OWNERS[1]):
        scene.refuses("NotOwner", scene.chain.send, scene.devices, "release", D[0], key=who)
    scene.chain.send(scene.devices, "release", D[0], key=OWNERS[0])
    assert scene.bound(1) == () and scene.settlement.deed_of(D[0]) == 0
    scene.refuses("NotBound", scene.chain.send, scene.devices, "release", D[0], key=OWNERS[0])


def a_transfer_unlinks_all_devices_and_frees_their_slots(scene):
    scene.bind(1, 0)
    scene.bind(1, 1)
    scene.transfer(1, OWNERS[0], OWNERS[1])
    assert scene.bound(1) == () and scene.settlement.deed_of(D[0]) == 0
    scene.refuses("NotBound", scene.chain.send, scene.devices, "release", D[0], key=OWNERS[1])
    scene.refuses("WrongSignature", scene.bind, 1, 2, owner=OWNERS[0])
    scene.bind(1, 0, owner=OWNERS[1])
    scene.bind(2, 1, owner=OWNERS[1])
    assert scene.bound(1) == (D[0],) and scene.bound(2) == (D[1],)


def a_deed_that_comes_back_brings_no_device_with_it(scene):
    scene.bind(1, 0)
    scene.transfer(1, OWNERS[0], OWNERS[1])
    scene.transfer(1, OWNERS[1], OWNERS[0])
    assert scene.bound(1) == () and scene.settlement.deed_of(D[0]) == 0


def only_the_admin_mints_deeds_in_order_with_slots(scene):
    scene.refuses("OwnableUnauthorizedAccount", scene.chain.send, scene.deeds, "mint", 3, A, 1, key=OWNERS[0])
    for deed in (2, 4, 0):
        scene.refuses("WrongDeed", scene.chain.send, scene.deeds, "mint", deed, A, 1, key=PAYER)
    scene.refuses("NoSlots", scene.chain.send, scene.deeds, "mint", 3, A, 0, key=PAYER)


def only_the_settlement_mints_r1(scene):
    for who in (PAYER, OWNERS[0], ANYONE):
        scene.refuses("NotMinter", scene.chain.send, scene.r1, "mint", A, 1, key=who)
    assert scene.chain.call(scene.r1, "minter") == scene.root_contract.address
    assert scene.chain.call(scene.r1, "cap") == R1_CAP_WEI


def a_quorum_posts_a_root(scene):
    scene.post({1: 100, 2: 50})
    assert scene.settlement.epoch() == 1 and scene.chain.call(scene.root_contract, "total") == 150
    scene.post({1: 100, 2: 50}, signers=ORACLES)
    assert [item.evidence for item in scene.settlement.roots()] == [EVIDENCE, EVIDENCE]


def fewer_signatures_than_the_threshold_are_refused(scene):
    scene.refuses("TooFewSignatures", scene.post, {1: 1}, signers=[])
    for oracle in ORACLES:
        scene.refuses("TooFewSignatures", scene.post, {1: 1}, signers=[oracle])


def signers_out_of_order_or_twice_are_refused(scene):
    for signers in ([ORACLES[0]] * 2, [ORACLES[1], ORACLES[0]], [ORACLES[0], ORACLES[1], ORACLES[1]]):
        scene.refuses("SignersNotAscending", scene.post, {1: 1}, signers=signers)


def a_signature_of_someone_else_is_refused(scene):
    signers = sorted([ORACLES[0], STRANGER], key=lambda item: address_of(item).lower())
    scene.refuses("NotOracle", scene.post, {1: 1}, signers=signers)


def a_root_signed_with_other_values_is_refused(scene):
    # What is recovered from a foreign digest are two random addresses, in any order.
    either = ("NotOracle", "SignersNotAscending")
    for name, value in (("epoch", 2), ("root", bytes(32)), ("total", 2), ("evidence", bytes(32))):
        scene.refuses(either, scene.post, {1: 1}, signed={name: value})
    for changed in ({"chainId": 1}, {"verifyingContract": scene.deeds.address}, {"version": "2"}, {"name": "other"}):
        scene.refuses(either, scene.post, {1: 1}, domain=changed)


def a_signature_in_another_form_is_refused(scene):
    good = scene.root_signatures((1, bytes(32), 0, EVIDENCE), ORACLES[:2])
    table = ((good[1][:64], "Length"), (flipped(good[1]), "S"), (bytes(64) + b"\x1b", ""), (good[1] + b"\0", "Length"))
    for bad, error in table:
        arguments = (1, bytes(32), 0, EVIDENCE, [good[0], bad])
        error = f"ECDSAInvalidSignature{error}"
        scene.refuses(error, scene.chain.send, scene.root_contract, "post", *arguments, key=ANYONE)


def an_epoch_is_posted_once_and_none_is_left_out(scene):
    for epoch in (2, 7):
        scene.refuses("WrongEpoch", scene.post, {1: 1}, epoch=epoch)
    scene.post({1: 1})
    for epoch in (1, 3):
        scene.refuses("WrongEpoch", scene.post, {1: 2}, epoch=epoch)


def the_total_never_shrinks(scene):
    scene.post({1: 100})
    scene.refuses("TotalShrinks", scene.post, {1: 99})
    scene.post({1: 100})


def the_total_grows_by_the_epochs_cap_at_most(scene):
    capped = with_epoch_cap(scene, 100)
    capped.post({1: 100})
    capped.refuses("TotalTooHigh", capped.post, {1: 201})
    capped.post({1: 200})


def the_total_never_passes_r1s_cap(scene):
    scene.refuses("TotalTooHigh", scene.post, {1: R1_CAP_WEI + 1})
    scene.post({1: R1_CAP_WEI})
    scene.claim(1)
    assert scene.settlement.minted() == R1_CAP_WEI


def a_claim_pays_the_owner_what_is_new_whoever_sends_it(scene):
    scene.post({1: 100, 2: 50})
    scene.claim(1)
    assert scene.settlement.balance(A) == 100
    scene.post({1: 130, 2: 70})
    scene.post({1: 180, 2: 90})
    scene.claim(1)
    scene.claim(2)
    assert (scene.settlement.balance(A), scene.settlement.balance(B), scene.settlement.minted()) == (180, 90, 270)
    assert [item.amount_wei for item in scene.settlement.claims()] == [100, 80, 90]


def nothing_is_paid_twice(scene):
    scene.post({1: 100, 2: 500})
    scene.claim(1)
    scene.refuses("NothingToClaim", scene.claim, 1)
    scene.post({1: 100, 2: 600})
    scene.refuses("NothingToClaim", scene.claim, 1)


def a_leaf_that_shrank_pays_nothing(scene):
    scene.post({1: 100, 2: 0})
    scene.claim(1)
    scene.post({1: 90, 2: 10})
    scene.refuses("NothingToClaim", scene.claim, 1)


def a_proof_fits_its_own_deed_and_amount_only(scene):
    scene.post({1: 100, 2: 50})
    scene.refuses("WrongProof", scene.claim, 1, proof_of=2)
    scene.refuses("WrongProof", scene.claim, 1, 50, proof_of=2)
    scene.refuses("WrongProof", scene.claim, 1, 101)
    old = dict(scene.leaves)
    scene.post({1: 200, 2: 50})
    scene.leaves = old
    scene.refuses("WrongProof", scene.claim, 1)


def before_the_first_root_and_under_an_empty_one_nothing_is_proved(scene):
    for _ in range(2):
        send = scene.chain.send
        scene.refuses("WrongProof", send, scene.root_contract, "claim", 1, 1, [], key=ANYONE)
        scene.post({})


def a_claim_after_a_transfer_pays_the_new_owner(scene):
    scene.post({1: 100})
    scene.transfer(1, OWNERS[0], OWNERS[1])
    scene.claim(1)
    assert (scene.settlement.balance(A), scene.settlement.balance(B)) == (0, 100)


def no_more_is_minted_than_was_attested(scene):
    scene.post({1: 100, 2: 50}, total=120)
    scene.claim(1)
    scene.refuses("ExceedsAttested", scene.claim, 2)


def a_leaf_without_a_deed_pays_nobody(scene):
    scene.post({1: 1, 9: 100})
    scene.refuses("ERC721NonexistentToken", scene.claim, 9)


CHECKS = [item for item in list(globals().values()) if getattr(item, "__module__", "") == __name__]
