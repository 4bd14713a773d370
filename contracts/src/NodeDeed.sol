// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {INodeDeed} from "./interfaces/INodeDeed.sol";

/// @title Node Deeds with slots.
contract NodeDeed is INodeDeed, ERC721, Ownable {
    struct Deed {
        uint16 slots;
        uint128 transfers;
    }

    uint256 public count;
    mapping(uint256 deed => Deed) private _deeds;

    constructor(address admin) ERC721("Ratio1 Node Deed", "ND") Ownable(admin) {}

    function slots(uint256 deed) external view returns (uint16) {
        return _deeds[deed].slots;
    }

    function transfers(uint256 deed) external view returns (uint128) {
        return _deeds[deed].transfers;
    }

    function mint(uint256 deed, address to, uint16 slots_) external onlyOwner {
        if (deed != count + 1) revert WrongDeed(deed, count + 1);
        if (slots_ == 0) revert NoSlots(deed);
        count = deed;
        _deeds[deed].slots = slots_;
        _mint(to, deed);
    }

    function _update(address to, uint256 deed, address auth) internal override returns (address) {
        ++_deeds[deed].transfers;
        return super._update(to, deed, auth);
    }
}
