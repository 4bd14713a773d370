"""What each page prints of a snapshot, pure: no clock, no store, no request."""
