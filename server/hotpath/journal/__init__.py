"""The journal inside the hot path: what an entry looks like, appending one, replaying many."""
