"""From verdicts to R1: roots, trees, claims, accounts, escrow, votes."""
