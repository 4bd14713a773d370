"""A gateway as its operator has it: made, looked after, saved and restored. What runs is site/site.py."""
