"""Whether the state that was read is that of the record at one version: nothing old or hidden.

Everything in Redis is sealed, but an intruder may put an earlier, once true change back. Each
change therefore says which one of its entity it is, counted from 1, and each change of the record
has a version of its own: the newest revisions of all entities add up to the version, exactly when
every entity is the newest one.

What changed since the load began counts with what it was then, one revision below its first change
since. So the stream must hold each version behind the load's: with one of them left out, a later
change of an entity would be taken for its first, and make up for an old one elsewhere.
"""

from riskgate.v1.state_pb2 import StateChange


class Completeness:
    """Counts the entities of one load.

    Args:
        version: Of the record when the load began.
    """

    def __init__(self, version: int) -> None:
        self._version = version
        self._counted = 0
        self._settled_version = version
        # Redis may name a field twice while it grows. Hashes, because there may be a million.
        self._seen: set[int] = set()
        # Changed since the load began: what they were then, the stream tells.
        self._unsettled: set[tuple[int, str]] = set()

    def note(self, message: StateChange) -> bool:
        """Take in an entity of the hash; measurements do not count.

        Returns:
            Whether it is the first of its name: only what was counted may be used.
        """
        if message.version == 0:
            return True
        name = (message.kind, message.key)
        if hash(name) in self._seen:
            return False
        self._seen.add(hash(name))
        if message.version <= self._version:
            self._counted += message.revision
        else:
            self._unsettled.add(name)
        return True

    def settle(self, message: StateChange) -> None:
        """Take in a change that followed in the stream; what comes out of turn is passed over."""
        if message.version != self._settled_version + 1:
            return
        self._settled_version += 1
        name = (message.kind, message.key)
        if name in self._unsettled:
            self._unsettled.discard(name)
            self._counted += message.revision - 1

    @property
    def is_settled(self) -> bool:
        """Whether it is known of every entity what it was when the load began."""
        return not self._unsettled

    @property
    def is_whole(self) -> bool:
        """Whether every entity was the newest one."""
        return self.is_settled and self._counted == self._version
