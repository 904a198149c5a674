"""The grants of one decision port, as its settings say, and the thread that keeps them current."""

import time
from typing import Final

from server.engine import Engine
from server.security.denial_spool import DenialSpool
from server.security.grant_watch import GrantWatch
from server.security.grants import Grants
from server.security.revoked_certificates import RevokedCertificates
from server.settings import Settings
from server.shards import Shard

# In place of the address of a GRANT: who has it may call nothing.
NO_GRANT: Final = 0


def open_grants(settings: Settings, engine: Engine) -> tuple[Grants, GrantWatch]:
    """Return the grants of an engine's port and their watch, which is not started yet."""
    revoked = RevokedCertificates(settings.tls_crl, settings.tls_client_ca)
    grants = Grants(settings.trust_domain, revoked)
    epoch = int(engine.state.engine[0]["epoch"])
    owner = f"{Shard.parse(settings.shard).index}-{epoch}"
    spool = DenialSpool(settings.data_dir, owner, read_clock_ns=time.time_ns)
    return grants, GrantWatch(grants, spool)
