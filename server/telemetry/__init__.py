"""What the processes tell about themselves, read without touching a decision."""
