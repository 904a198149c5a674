"""The right that each method asks for, as declared in the protos.

Read from the descriptors when this module is imported: a method without an entry ends the import,
so no process can serve it.
"""

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor

from riskgate.v1 import (
    audit_pb2,
    breaker_pb2,
    decision_pb2,
    identity_pb2,
    kill_pb2,
    market_pb2,
    model_pb2,
    provider_pb2,
    reference_pb2,
    risk_config_pb2,
)
from riskgate.v1 import rights_pb2 as pb
from server.errors import BrokenInvariantError

# Its generated type is that of every field.
_OPTION: Final[Any] = pb.right
CONTRACT: Final[tuple[FileDescriptor, ...]] = (
    audit_pb2.DESCRIPTOR,
    breaker_pb2.DESCRIPTOR,
    decision_pb2.DESCRIPTOR,
    identity_pb2.DESCRIPTOR,
    kill_pb2.DESCRIPTOR,
    market_pb2.DESCRIPTOR,
    model_pb2.DESCRIPTOR,
    provider_pb2.DESCRIPTOR,
    reference_pb2.DESCRIPTOR,
    risk_config_pb2.DESCRIPTOR,
)


def read_rights(files: Iterable[FileDescriptor]) -> dict[str, pb.Right]:
    """Return the right of each method by its path, `/package.Service/Method`.

    Raises:
        BrokenInvariantError: A method declares no right, or one without a role.
    """
    found = {}
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                path = f"/{service.full_name}/{method.name}"
                right: pb.Right = method.GetOptions().Extensions[_OPTION]
                if not right.roles:
                    raise BrokenInvariantError(f"{path} declares no right")
                found[path] = right
    return found


RIGHTS: Final = read_rights(CONTRACT)
