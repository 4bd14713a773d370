"""The second scorer: shares no code with the first."""
