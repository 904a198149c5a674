"""`python -m demo`: the whole system at work, from start to a table of decisions."""
