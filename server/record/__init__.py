"""The record: PostgreSQL as the truth for everything people decide.

One repository per aggregate reads and writes rows; `admin_change` is the only way to change
something that engines read. Nothing outside this package talks to PostgreSQL.
"""
