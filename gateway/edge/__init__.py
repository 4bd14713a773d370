"""A gateway as its operator has it: made, looked after, saved and restored. The site that runs is gateway/site.py."""
