"""Real PostgreSQL and real Redis as child processes, for a machine that offers neither.

Only the binaries of the wheels are used, never the wheels' own start-up code: its defaults are
trust authentication, world-open sockets and changed modes of parent folders. Here both services
listen on a Unix socket in a folder with mode 0700 and nowhere else, run as an unprivileged account
when the supervisor is root, die with the process that started them, and no mode outside the data
directory (or /var/lib/riskgate, see place.py) is ever changed.
"""
