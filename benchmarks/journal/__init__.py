"""What the journal costs, and how fast it is read again: `make bench-journal`."""
