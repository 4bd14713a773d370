// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {Governor} from "@openzeppelin/contracts/governance/Governor.sol";
import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {GovernorCountingSimple} from "@openzeppelin/contracts/governance/extensions/GovernorCountingSimple.sol";
import {GovernorSettings} from "@openzeppelin/contracts/governance/extensions/GovernorSettings.sol";
import {GovernorTimelockControl} from "@openzeppelin/contracts/governance/extensions/GovernorTimelockControl.sol";
import {GovernorVotes} from "@openzeppelin/contracts/governance/extensions/GovernorVotes.sol";
import {
    GovernorVotesQuorumFraction
} from "@openzeppelin/contracts/governance/extensions/GovernorVotesQuorumFraction.sol";
import {IVotes} from "@openzeppelin/contracts/governance/utils/IVotes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title Governance by votes of R1 (OpenZeppelin's Governor), with a timelock that it creates and that nobody else commands.
/// @notice What it decides is done by its timelock, after `lock` seconds. What the timelock can do is what contracts let their governor
/// or owner do: Settlement.govern within the bounds of its deployment, Sale.setRate, and Council's own settings. It can
/// not appoint oracles, post or veto roots, mint, or take what anybody earned or deposited.
contract Council is
    GovernorSettings,
    GovernorCountingSimple,
    GovernorVotes,
    GovernorVotesQuorumFraction,
    GovernorTimelockControl
{
    uint256 public immutable leastQuorum;

    /// @param votes Whose votes count.
    /// @param wait Blocks from a proposal until the vote begins, when votes are counted.
    /// @param period Blocks of voting.
    /// @param least Votes that it takes to propose.
    /// @param quorumPercent Share of all votes that must be cast for it or abstain.
    /// @param leastQuorum_ So many votes at least: of few votes deposited a share is soon bought.
    /// @param lock Seconds from the decision until it may be done.
    constructor(
        IVotes votes,
        uint48 wait,
        uint32 period,
        uint256 least,
        uint256 quorumPercent,
        uint256 leastQuorum_,
        uint256 lock
    )
        Governor("tinyren Council")
        GovernorSettings(wait, period, least)
        GovernorVotes(votes)
        GovernorVotesQuorumFraction(quorumPercent)
        GovernorTimelockControl(_makeTimelock(lock))
    {
        leastQuorum = leastQuorum_;
    }

    function quorum(uint256 timepoint) public view override(Governor, GovernorVotesQuorumFraction) returns (uint256) {
        return Math.max(super.quorum(timepoint), leastQuorum);
    }

    function state(uint256 id) public view override(Governor, GovernorTimelockControl) returns (ProposalState) {
        return super.state(id);
    }

    function proposalNeedsQueuing(uint256 id) public view override(Governor, GovernorTimelockControl) returns (bool) {
        return super.proposalNeedsQueuing(id);
    }

    function proposalThreshold() public view override(Governor, GovernorSettings) returns (uint256) {
        return super.proposalThreshold();
    }

    function _queueOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calls,
        bytes32 description
    ) internal override(Governor, GovernorTimelockControl) returns (uint48) {
        return super._queueOperations(id, targets, values, calls, description);
    }

    function _executeOperations(
        uint256 id,
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calls,
        bytes32 description
    ) internal override(Governor, GovernorTimelockControl) {
        super._executeOperations(id, targets, values, calls, description);
    }

    function _cancel(
        address[] memory targets,
        uint256[] memory values,
        bytes[] memory calls,
        bytes32 description
    ) internal override(Governor, GovernorTimelockControl) returns (uint256) {
        return super._cancel(targets, values, calls, description);
    }

    function _executor() internal view override(Governor, GovernorTimelockControl) returns (address) {
        return super._executor();
    }

    /// @dev Proposals come from this contract alone, anyone may carry them out, and it has no admin.
    function _makeTimelock(uint256 lock) private returns (TimelockController) {
        address[] memory proposers = new address[](1);
        proposers[0] = address(this);
        return new TimelockController(lock, proposers, new address[](1), address(0));
    }
}
