"""The contracts' sources: they compile to the committed artifacts, and each guard that is taken out of them is missed.

A mutant is a line of Solidity broken on purpose; the named check of contract_checks.py must fail on it. (Lesson: a
conservation invariant alone let a deleted double-pay guard pass.) Without the compiler these tests skip and say so.
"""

from dataclasses import replace
from pathlib import Path

import pytest

import contracts
from contracts import artifact, compile
from gateway.chain import abi
from gateway.chain.chain import ChainError
from tests import contract_checks as checks
from tests.contract_scene import make_scene

MUTANTS = {
    "device signature not checked": (
        "Devices",
        "if (failure != ECDSA.RecoverError.NoError || signer != device) revert WrongSignature(device);",
        "",
        checks.a_binding_needs_the_devices_own_signature,
    ),
    "recovery that failed passes for the zero address": (
        "Devices",
        "failure != ECDSA.RecoverError.NoError || ",
        "",
        checks.the_zero_address_is_no_device_however_bad_the_signature,
    ),
    "owner signature not checked": (
        "Devices",
        "if (!SignatureChecker.isValidSignatureNow(owner, digest, ownerSignature)) revert WrongSignature(owner);",
        "",
        checks.a_binding_needs_the_deed_owners_signature,
    ),
    "deadline not checked": (
        "Devices",
        "if (block.timestamp > deadline) revert Expired(deadline);",
        "",
        checks.a_binding_after_its_deadline_is_refused,
    ),
    "nonce not used up": ("Devices", "nonces[device]++", "nonces[device]", checks.a_binding_cannot_be_played_again),
    "one slot too many": ("Devices", ">= slots", "> slots", checks.a_deed_has_no_more_devices_than_slots),
    "device bound twice": (
        "Devices",
        "if (other != 0) revert AlreadyBound(device, other);",
        "",
        checks.a_device_has_one_deed,
    ),
    "anyone releases": (
        "Devices",
        "if (msg.sender != deeds.ownerOf(deed)) revert NotOwner(msg.sender, deed);",
        "",
        checks.only_the_deeds_owner_releases_a_device,
    ),
    "release keeps the slot": (
        "Devices",
        "_bound(deed).remove(device);",
        "",
        checks.a_deed_has_no_more_devices_than_slots,
    ),
    "release keeps the device": (
        "Devices",
        "(_places[device].deed, _places[device].transfers) = (0, 0);",
        "",
        checks.only_the_deeds_owner_releases_a_device,
    ),
    "device stays bound after a transfer": (
        "Devices",
        "place.transfers == deeds.transfers(place.deed) ? place.deed : 0",
        "place.deed",
        checks.a_transfer_unlinks_all_devices_and_frees_their_slots,
    ),
    "transfers not counted": (
        "NodeDeed",
        "++_deeds[deed].transfers;",
        "",
        checks.a_deed_that_comes_back_brings_no_device_with_it,
    ),
    "anyone mints deeds": (
        "NodeDeed",
        "external onlyOwner",
        "external",
        checks.only_the_admin_mints_deeds_in_order_with_slots,
    ),
    "deeds in any order": (
        "NodeDeed",
        "if (deed != count + 1) revert WrongDeed(deed, count + 1);",
        "",
        checks.only_the_admin_mints_deeds_in_order_with_slots,
    ),
    "deed without slots": (
        "NodeDeed",
        "if (slots_ == 0) revert NoSlots(deed);",
        "",
        checks.only_the_admin_mints_deeds_in_order_with_slots,
    ),
    "anyone mints R1": (
        "R1",
        "if (msg.sender != minter) revert NotMinter(msg.sender);",
        "",
        checks.only_the_settlement_mints_r1,
    ),
    "threshold off by one": (
        "Settlement",
        "signatures.length < rules.threshold",
        "signatures.length + 1 < rules.threshold",
        checks.fewer_signatures_than_the_threshold_are_refused,
    ),
    "one signer counts twice": (
        "Settlement",
        "signer <= previous",
        "signer < previous",
        checks.signers_out_of_order_or_twice_are_refused,
    ),
    "order of signers not checked": (
        "Settlement",
        "if (signer <= previous) revert SignersNotAscending(previous, signer);",
        "",
        checks.signers_out_of_order_or_twice_are_refused,
    ),
    "any signer counts": (
        "Settlement",
        "if (!members[signer]) revert NotOracle(signer);",
        "",
        checks.a_signature_of_someone_else_is_refused,
    ),
    "signatures not checked": (
        "Settlement",
        "_checkQuorum(keccak256(abi.encode(ROOT",
        "if (false) _checkQuorum(keccak256(abi.encode(ROOT",
        checks.fewer_signatures_than_the_threshold_are_refused,
    ),
    "epoch not checked": (
        "Settlement",
        "if (epoch_ != last + 1) revert WrongEpoch(epoch_, last + 1);",
        "",
        checks.an_epoch_is_posted_once_and_none_is_left_out,
    ),
    "total may shrink": (
        "Settlement",
        "if (total_ < lastTotal) revert TotalShrinks(total_, lastTotal);\n        if (total_ - lastTotal",
        "if (total_ > lastTotal && total_ - lastTotal",
        checks.the_total_never_shrinks,
    ),
    "epoch cap not checked": (
        "Settlement",
        "if (total_ - lastTotal > _rules.epochCap) revert TotalTooHigh(total_ - lastTotal, _rules.epochCap);",
        "",
        checks.the_total_grows_by_the_epochs_cap_at_most,
    ),
    "R1's cap not checked": (
        "Settlement",
        "if (total_ > R1_CAP) revert TotalTooHigh(total_, R1_CAP);",
        "",
        checks.the_total_never_passes_r1s_cap,
    ),
    "proof not checked": (
        "Settlement",
        "if (!MerkleProof.verifyCalldata(proof, posted.root, _leaf(deed, cumulative))) "
        "revert WrongProof(deed, cumulative);",
        "",
        checks.a_proof_fits_its_own_deed_and_amount_only,
    ),
    "leaf hashed once": (
        "Settlement",
        "keccak256(bytes.concat(keccak256(abi.encode(deed, cumulative))))",
        "keccak256(abi.encode(deed, cumulative))",
        checks.a_claim_pays_the_owner_what_is_new_whoever_sends_it,
    ),
    "payment not recorded": ("Settlement", "claimed[deed] = cumulative;", "", checks.nothing_is_paid_twice),
    "double pay": (
        "Settlement",
        "if (cumulative <= paid) return 0;\n        claimed[deed] = cumulative;\n        amount = cumulative - paid;",
        "claimed[deed] = cumulative;\n        amount = cumulative;",
        checks.nothing_is_paid_twice,
    ),
    "all of it paid again": (
        "Settlement",
        "amount = cumulative - paid;",
        "amount = cumulative;",
        checks.a_claim_pays_the_owner_what_is_new_whoever_sends_it,
    ),
    "more minted than attested": (
        "Settlement",
        "if (all > attested) revert ExceedsAttested(all, attested);",
        "",
        checks.no_more_is_minted_than_was_attested,
    ),
    "caller paid": (
        "Settlement",
        "r1.mint(owner, amount)",
        "r1.mint(msg.sender, amount)",
        checks.a_claim_pays_the_owner_what_is_new_whoever_sends_it,
    ),
}


@pytest.fixture(scope="module")
def compiled():
    """Each mutant's contracts by path, from one run of the compiler (not optimized, which is three times as fast)."""
    sources = compile.sources()
    files, wanted = dict(sources), []
    for number, (contract, good, bad, _) in enumerate(MUTANTS.values()):
        assert sources[f"{contract}.sol"].count(good) == 1, good
        mutated = {**sources, f"{contract}.sol": sources[f"{contract}.sol"].replace(good, bad)}
        files |= {f"{number}/{path}": text for path, text in mutated.items()}
        wanted.append(f"{number}/{deployed(contract)}.sol")
    return compile.compile_sources(files, wanted, warnings=True, optimize=False)


@pytest.fixture(scope="module", autouse=True)
def compiler():
    try:
        compile.install()
    except compile.CompileError as error:
        pytest.skip(f"the compiler cannot be installed: {error}")


def deployed(contract):
    """Which bytecode holds a contract's code: R1 is created by Settlement."""
    return "Settlement" if contract == "R1" else contract


def test_the_committed_artifacts_are_what_the_sources_compile_to():
    for name, text in compile.compile_artifacts(compile.sources()).items():
        committed = (Path(contracts.__file__).parent / "artifacts" / f"{name}.json").read_text()
        assert text == committed, f"{name}: run python -m contracts.compile"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_check_misses_the_guard_of(mutant, compiled, monkeypatch, tmp_path):
    contract, _, _, check = MUTANTS[mutant]
    name = deployed(contract)
    found = compiled[f"{list(MUTANTS).index(mutant)}/{name}.sol"][name]
    broken = replace(artifact(name), bytecode=bytes.fromhex(found["bytecode"]))
    monkeypatch.setattr(abi, "artifact", lambda wanted: broken if wanted == name else artifact(wanted))
    scene = make_scene(tmp_path / "chain.sqlite")
    with pytest.raises((AssertionError, pytest.fail.Exception, ChainError)):
        check(scene)
    scene.chain.close()
