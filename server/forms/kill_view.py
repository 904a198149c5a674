"""The kill switch as answers: entities to messages."""

from collections.abc import Iterable
from typing import cast

from riskgate.v1 import kill_pb2 as pb
from server.forms import fields
from server.kill_rows import Target, Times
from server.record.kill_switches import KillEvent


def write_switch(target: Target, times: Times, events: Iterable[KillEvent]) -> pb.KillSwitch:
    """Return the message that describes what is known of a target."""
    return pb.KillSwitch(
        target=target.to_message(),
        new_risk_killed_at_ns=times.new_risk_killed,
        new_risk_rearmed_at_ns=times.new_risk_rearmed,
        all_killed_at_ns=times.all_killed,
        all_rearmed_at_ns=times.all_rearmed,
        stops_new_risk=times.stops(pb.KILL_MODE_NEW_RISK),
        stops_all=times.stops(pb.KILL_MODE_ALL),
        events=map(_write_event, events),
    )


def _write_event(event: KillEvent) -> pb.KillEvent:
    return pb.KillEvent(
        is_rearming=event.is_rearming,
        mode=cast("pb.KillMode", event.mode),
        at_ns=event.at_ns,
        caller=event.caller,
        actor=event.actor,
        reason=event.reason,
        said_to=event.said_to,
        recorded_at=fields.timestamp(event.recorded_at),
    )
