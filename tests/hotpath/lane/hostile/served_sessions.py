"""A lane that serves good and damaged sessions and ends: the program that a memory checker watches.

Run as `python -m tests.hotpath.lane.hostile.served_sessions SESSIONS`; compiles when it must.
"""

import random
import sys
from typing import Final

from server.hotpath.lane.memory import LaneBounds
from tests.hotpath.lane.hostile.besieged import Besieged
from tests.hotpath.lane.hostile.mutation import damage_session, good_sessions

SEED: Final = 20260701
_START_S: Final = 3_000
_ROUNDS: Final = 20


def main(damaged: int) -> None:
    """Serve every good session several times, then damaged ones."""
    besieged = Besieged(LaneBounds(connections=64, calls=256, streams=16, batches=4))
    besieged.start(within_s=_START_S)
    source = random.Random(SEED)
    sessions = good_sessions()
    played = sessions * _ROUNDS
    played += [damage_session(source, source.choice(sessions)) for _ in range(damaged)]
    for session in played:
        with besieged.dial() as client:
            client.socket.settimeout(300)
            if client.send(session):
                client.end()
            client.read_to_end()
    besieged.wait_until(lambda: besieged.count("connections_now") == 0, within_s=300)
    sys.stdout.write(f"{besieged.count('calls_started')} calls\n")
    besieged.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
