"""Deeploy for gateways: container and WebAssembly jobs, within limits that were tried, not trusted."""
