"""Deeploy: which encoder and which agent run on which devices; docs/jobs.md says how."""
