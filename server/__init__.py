"""The Riskgate server: one engine that decides, one control plane that records.

The path of a request, in the order of the files that it meets:

    decision port   services/decision.py → hotpath/decide.py → answer
    control port    services/*.py → record/*.py (row, audit, outbox in one transaction)
    propagation     publisher.py → Redis → loaders/redis_state.py → ring → hotpath/apply.py
    processes       cli.py → supervisor.py → `riskgate engine`, `riskgate control`

Import rules are those of tests/test_tidy.py; the reasons are in ARCHITECTURE.md.
"""

import os

# gRPC has no setting for the oldest version of TLS, and takes TLS 1.2. This names the one suite of
# TLS 1.2 that may be agreed on: it needs a key shared beforehand, and nobody has one, so TLS 1.3 is
# what is left. gRPC reads it when it is imported, which is why it stands here. The control port
# looks at the version of each connection besides (services/peer.py).
os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES128-CBC-SHA"
