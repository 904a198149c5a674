"""What happens to acknowledged decisions when processes, disks and power fail."""
