"""What runs inside a decision: compiled kernels over flat tables; numpy and numba only."""
