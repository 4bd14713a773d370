"""`make bench`: measures, and prints beside what it compares with."""
