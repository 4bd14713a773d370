// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Curves} from "./Curves.sol";
import {IMasterDeed} from "./interfaces/IMasterDeed.sol";

/// @title Master Node Deeds, which stay with whom they were given to.
contract MasterDeed is IMasterDeed, ERC721, Ownable {
    uint256 public immutable pool;
    uint256 public count;
    uint256 public assigned;
    mapping(uint256 deed => uint256) public assignedTo;

    constructor(address admin, uint256 pool_) ERC721("Ratio1 Master Node Deed", "MND") Ownable(admin) {
        pool = pool_;
    }

    function mint(uint256 deed, address to, uint256 amount) external onlyOwner {
        if (deed != count + 1) revert WrongDeed(deed, count + 1);
        if (amount == 0 || amount > pool - assigned) revert WrongAmount(amount, pool - assigned);
        count = deed;
        assigned += amount;
        assignedTo[deed] = amount;
        _mint(to, deed);
    }

    function rewardOf(
        uint256 deed,
        uint256 epoch,
        uint256 availability,
        uint256 adopted,
        uint256 earned
    ) external view returns (uint256) {
        _requireOwned(deed);
        return Curves.masterReward(assignedTo[deed], epoch, availability, adopted, earned);
    }

    function _update(address to, uint256 deed, address auth) internal override returns (address from) {
        from = super._update(to, deed, auth);
        if (from != address(0)) revert Soulbound(deed);
    }
}
