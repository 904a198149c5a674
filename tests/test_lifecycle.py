"""Every event and every move against every status: the table of design §6, written out again."""

from itertools import product

import pytest

from riskgate.v1 import model_pb2 as pb
from server.errors import PreconditionError
from server.forms import model as form
from server.lifecycle import STATUSES, STEPS, Event, next_status

# Columns: propose, sign, approve, activate, rollback, withdraw, deprecate, revoke. A dot: refused.
_TABLE = """
registered  registered  registered  approved  .       .       .           .           revoked
training    .           .           .         .       .       .           .           revoked
trained     trained     trained     approved  .       .       .           .           revoked
testing     testing     testing     approved  .       active  .           .           revoked
approved    testing     approved    approved  active  active  .           .           revoked
shadow      shadow      shadow      shadow    active  active  .           .           revoked
canary      canary      canary      canary    active  active  .           .           revoked
active      .           .           .         .       .       deprecated  deprecated  revoked
deprecated  deprecated  deprecated  approved  .       active  .           .           revoked
archived    .           .           .         .       .       .           .           revoked
rejected    .           .           .         .       .       .           .           revoked
revoked     .           .           .         .       .       .           .           .
"""
_COLUMNS: tuple[Event, ...] = (
    "propose",
    "sign",
    "approve",
    "activate",
    "rollback",
    "withdraw",
    "deprecate",
    "revoke",
)
EXPECTED = {
    (event, row[0]): after
    for row in (line.split() for line in _TABLE.strip().splitlines())
    for event, after in zip(_COLUMNS, row[1:], strict=True)
}
MOVES = {
    *(("registered", to) for to in ("training", "trained", "testing", "rejected")),
    *(("training", to) for to in ("trained", "rejected")),
    *(("trained", to) for to in ("testing", "rejected")),
    ("testing", "rejected"),
    *(("approved", to) for to in ("shadow", "canary", "deprecated", "rejected")),
    *(("shadow", to) for to in ("canary", "deprecated", "rejected")),
    *(("canary", to) for to in ("deprecated", "rejected")),
    ("deprecated", "archived"),
    ("rejected", "archived"),
}


@pytest.mark.parametrize(("event", "status"), list(product(_COLUMNS, STATUSES)))
def test_an_event_leads_where_the_table_says_or_is_refused(event: Event, status: str) -> None:
    expected = EXPECTED[event, status]
    if expected == ".":
        with pytest.raises(PreconditionError, match=status):
            next_status(event, status)
    else:
        assert next_status(event, status) == expected


@pytest.mark.parametrize(("status", "target"), list(product(STATUSES, [*STATUSES, "", "shiny"])))
def test_a_person_moves_a_version_only_where_the_table_says(status: str, target: str) -> None:
    if (status, target) in MOVES:
        assert next_status("move", status, target) == target
    else:
        with pytest.raises(PreconditionError, match=status):
            next_status("move", status, target)


def test_only_what_is_new_can_be_pushed() -> None:
    assert next_status("push", "") == "registered"
    for status in STATUSES:
        with pytest.raises(PreconditionError):
            next_status("push", status)


def test_nothing_becomes_active_by_a_move_and_nothing_leaves_revoked() -> None:
    assert "active" not in {target for _, target in MOVES}
    assert not any("revoked" in steps for steps in STEPS.values())


def test_the_contract_has_exactly_these_statuses() -> None:
    names = {name.removeprefix("MODEL_STATUS_").lower() for name in pb.ModelStatus.keys()}  # noqa: SIM118 - an enum is no dict
    assert names == {*STATUSES, "unspecified"}
    for status in STATUSES:
        assert form.read_status(pb.ModelStatus.Value(f"MODEL_STATUS_{status.upper()}")) == status
