"""Bytes from outside become verified values here, or a typed error; nothing unverified passes."""
