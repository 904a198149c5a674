"""Servers without work, and clients that load a server."""
