"""What requests to ModelService hold is checked there too, whoever stands in front of it."""

from typing import Any

import pytest

from riskgate.v1 import admin_pb2
from riskgate.v1 import model_pb2 as pb
from server.errors import InvalidFieldError
from server.forms import model as form


def refused_field(read: Any, *values: Any) -> str:
    with pytest.raises(InvalidFieldError) as caught:
        read(*values)
    return caught.value.field


@pytest.mark.parametrize("reason", ["", " ", "\t\n"])
@pytest.mark.parametrize(
    "request_class",
    [
        pb.ProposeActivationRequest,
        pb.ApproveModelRequest,
        pb.ActivateModelRequest,
        pb.RollbackModelRequest,
        pb.MoveModelRequest,
        pb.RevokeModelRequest,
    ],
)
def test_a_step_without_a_reason_is_refused(request_class: Any, reason: str) -> None:
    request = request_class(note=admin_pb2.ChangeNote(actor="ann", reason=reason))
    assert refused_field(form.read_justified, request) == "note.reason"
    request.note.reason = "because"
    assert form.read_justified(request).reason == "because"


def test_an_approval_lasts_a_day_unless_it_is_asked_to_be_shorter() -> None:
    assert form.read_hours(pb.ProposeActivationRequest()) == 24
    assert form.read_hours(pb.ProposeActivationRequest(expires_in_hours=1)) == 1
    for hours in (0, 25):
        request = pb.ProposeActivationRequest(expires_in_hours=hours)
        assert refused_field(form.read_hours, request) == "expires_in_hours"


def test_an_envelope_is_there_and_of_a_sane_size() -> None:
    longest = pb.ApproveModelRequest(envelope=b"x" * form.ENVELOPE_BYTES_MAX)
    assert form.read_envelope(longest) == longest.envelope
    for size in (0, form.ENVELOPE_BYTES_MAX + 1):
        request = pb.ApproveModelRequest(envelope=b"x" * size)
        assert refused_field(form.read_envelope, request) == "envelope"


def test_a_status_and_a_version_are_named_when_they_are_wrong() -> None:
    for number in (0, 99):
        assert refused_field(form.read_status, number) == "status"
    assert refused_field(form.read_version, "slippage", "1.0.0-rc1") == "version"
    assert refused_field(form.read_version, "", "1.0.0") == "purpose"
    assert form.read_version("slippage", "v2.1") == ("slippage", "2.1.0")
