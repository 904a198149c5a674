"""Keys, signatures and the canonical form of what is signed; libraries do all cryptography."""
