"""EDIL's programs: share-holder, data owner, routes of the page, demo. Specification: device/agent/EDIL.md."""
