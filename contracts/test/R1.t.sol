// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IR1} from "../src/interfaces/IR1.sol";
import {Scene} from "./Scene.sol";
import {vm} from "./Vm.sol";

/// @title R1: approval by signature is for its owner's words alone, once; nobody but the settlement mints.
contract R1Test is Scene {
    address internal constant SPENDER = address(0x5E);
    bytes32 private constant PERMIT =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    function setUp() public {
        vm.warp(1_800_000_000);
        build();
        Leaves memory leaves;
        leaves.deeds[0] = 100;
        post(1, rootOf(leaves), 100, quorum());
        vm.warp(block.timestamp + DELAY);
        settlement.claim(1, 100, deedProof(leaves, 1));
    }

    function permit(uint256 signer, uint256 value, uint256 said, uint256 deadline, bytes32 domain_) public {
        address owner = ownerAddress(1);
        bytes32 struct_ = keccak256(abi.encode(PERMIT, owner, SPENDER, value, r1.nonces(owner), deadline));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(signer, keccak256(abi.encodePacked(hex"1901", domain_, struct_)));
        r1.permit(owner, SPENDER, said, deadline, v, r, s);
    }

    function here() internal view returns (bytes32) {
        return domain("Ratio1", address(r1));
    }

    function test_an_approval_by_signature_is_good_for_what_it_says_and_once() public {
        address owner = ownerAddress(1);
        bytes32 struct_ = keccak256(abi.encode(PERMIT, owner, SPENDER, 60, 0, block.timestamp));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(ownerKey(1), keccak256(abi.encodePacked(hex"1901", here(), struct_)));
        r1.permit(owner, SPENDER, 60, block.timestamp, v, r, s);
        vm.prank(SPENDER);
        r1.transferFrom(owner, SPENDER, 60);
        vm.expectPartialRevert(ERC20Permit.ERC2612InvalidSigner.selector);
        r1.permit(owner, SPENDER, 60, block.timestamp, v, r, s);
        require(r1.balanceOf(SPENDER) == 60 && r1.allowance(owner, SPENDER) == 0, "once");
    }

    function test_an_approval_of_others_or_of_other_words_is_refused() public {
        bytes32 elsewhere = domain("Ratio1", address(deeds));
        refuses(ERC20Permit.ERC2612InvalidSigner.selector, ownerKey(2), 60, block.timestamp, here());
        refuses(ERC20Permit.ERC2612InvalidSigner.selector, ownerKey(1), 61, block.timestamp, here());
        refuses(ERC20Permit.ERC2612InvalidSigner.selector, ownerKey(1), 60, block.timestamp, elsewhere);
        refuses(ERC20Permit.ERC2612ExpiredSignature.selector, ownerKey(1), 60, block.timestamp - 1, here());
        require(r1.allowance(ownerAddress(1), SPENDER) == 0 && r1.nonces(ownerAddress(1)) == 0, "nothing");
    }

    function refuses(bytes4 error, uint256 signer, uint256 value, uint256 deadline, bytes32 domain_) internal {
        vm.expectPartialRevert(error);
        this.permit(signer, value, 60, deadline, domain_);
    }

    function test_nobody_but_the_settlement_mints() public {
        vm.expectPartialRevert(IR1.NotMinter.selector);
        r1.mint(address(this), 1);
        require(r1.totalSupply() == 100 && r1.minter() == address(settlement), "nothing");
    }
}
