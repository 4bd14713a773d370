"""The gateway as a Debian package; `build` makes it, `pages` writes its manual and completion, `files` is data."""
