"""The Riskgate server: one engine that decides, one control plane that records.

The path of a request, in the order of the files that it meets:

    decision port   services/decision.py → hotpath/decide.py → answer
    control port    services/*.py → record/*.py (row, audit, outbox in one transaction)
    propagation     publisher.py → Redis → loaders/redis_state.py → ring → hotpath/apply.py
    processes       cli.py → supervisor.py → `riskgate engine`, `riskgate control`

Import rules are those of tests/test_tidy.py; the reasons are in ARCHITECTURE.md.
"""
