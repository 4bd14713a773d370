// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that can be told to misbehave.
contract Token is ERC20("token", "T") {
    enum Fault {
        None,
        ReturnsFalse,
        TakesAFee,
        CallsBack
    }

    Fault public fault;
    address private _called;
    bytes private _call;
    bytes4 public refusal;

    function give(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function misbehave(Fault how) external {
        fault = how;
    }

    /// @dev Each move calls `target` once, and remembers the error with which it refused.
    function callBack(address target, bytes calldata data) external {
        (fault, _called, _call, refusal) = (Fault.CallsBack, target, data, 0);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return fault != Fault.ReturnsFalse && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (fault == Fault.ReturnsFalse) return false;
        return super.transferFrom(from, to, fault == Fault.TakesAFee ? amount - 1 : amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (fault != Fault.CallsBack) return;
        (bool done, bytes memory said) = _called.call(_call);
        refusal = done ? bytes4(0) : bytes4(said);
    }
}
