"""Ethereum's chains: the embedded one and any JSON-RPC, and how transactions get into them."""
