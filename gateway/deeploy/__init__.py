"""Deeploy: which encoder and which agent run on which devices; README's section "Jobs" and docs/jobs.md say how."""
