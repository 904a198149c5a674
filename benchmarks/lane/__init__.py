"""`make bench-lane`: the decision port against servers that do no work."""
