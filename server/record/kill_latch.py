"""What a kill or a re-arming does to the record: row, event, audit row and change together."""

from riskgate.v1 import state_pb2
from server.kill_rows import Target, Times, kill_rows
from server.record.admin_change import AdminChange
from server.record.kill_switches import KIND, KillEvent, KillSwitchRepository

_SWITCHES = KillSwitchRepository()


async def latch(change: AdminChange, target: Target, event: KillEvent) -> Times:
    """Take in one event; returns what is known of the target now.

    What is older than what is known changes nothing but the list of events.

    Args:
        change: Open.
        target: Of the event.
        event: A kill, or a re-arming that is not above the newest kill of its mode.
    """
    old = await _SWITCHES.get(change.database, target)
    said = Times.of_rearming if event.is_rearming else Times.of_kill
    new = old.merged(said(event.mode, event.at_ns))
    await _SWITCHES.merge(change.database, target, new)
    await _SWITCHES.add_event(change.database, target, event)
    if new != old:
        rows = kill_rows(target, new)
        await change.publish(state_pb2.CHANGE_KIND_KILL, target.key, rows)
    action = "rearm" if event.is_rearming else "kill"
    await change.audit(
        action, KIND, target.key, old=old._asdict(), new={**new._asdict(), "said": event}
    )
    return new
