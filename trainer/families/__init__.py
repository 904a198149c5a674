"""One module per purpose: how its model is fitted."""
