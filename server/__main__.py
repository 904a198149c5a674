"""`python -m server` is the same as `riskgate`."""

from server.cli import app

app()
