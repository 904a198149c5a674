"""One file for each command of `riskgate`; server/cli.py holds the table."""
