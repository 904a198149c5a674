"""Who a certificate's SAN URI names: `spiffe://DOMAIN/ROLE[/GROUP]/NAME`.

Role and group come from here and nowhere else: nothing that a caller sends besides can widen them.
"""

import re
from dataclasses import dataclass
from typing import Final

from riskgate.v1 import rights_pb2 as pb

IDENTITY_BYTES_MAX: Final = 64
ROLES: Final = {
    "admin": pb.ROLE_ADMIN,
    "risk_analyst": pb.ROLE_RISK_ANALYST,
    "trader": pb.ROLE_TRADER,
    "auditor": pb.ROLE_AUDITOR,
}
GROUPS: Final = {
    "risk_senior": pb.GROUP_RISK_SENIOR,
    "technology": pb.GROUP_TECHNOLOGY,
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class IdentityName:
    """A parsed URI.

    Attributes:
        uri: As it came.
        role: riskgate.v1.Role, never UNSPECIFIED.
        groups: riskgate.v1.Group, none or one.
        name: Of the person or machine.
    """

    uri: str
    role: pb.Role
    groups: frozenset[pb.Group]
    name: str


def parse_identity(uri: str, trust_domain: str) -> IdentityName:
    """Read a URI.

    Raises:
        ValueError: It is of another domain, too long, or names no role, group or person of ours.
    """
    prefix = f"spiffe://{trust_domain}/"
    if not uri.startswith(prefix):
        raise ValueError(f"the identity must begin with {prefix}")
    if len(uri.encode()) > IDENTITY_BYTES_MAX:
        raise ValueError(f"the identity must have at most {IDENTITY_BYTES_MAX} bytes")
    role, *group, name = (
        uri.removeprefix(prefix).split("/") if "/" in uri[len(prefix) :] else [""] * 2
    )
    if role not in ROLES:
        raise ValueError(f"the identity must name a role: {', '.join(ROLES)}")
    if len(group) > 1 or any(each not in GROUPS for each in group):
        raise ValueError(f"the identity may name one group: {', '.join(GROUPS)}")
    if not _NAME.fullmatch(name):
        raise ValueError("the identity must end with a name of letters, digits, dots and dashes")
    return IdentityName(uri, ROLES[role], frozenset(GROUPS[each] for each in group), name)


def format_identity(trust_domain: str, role: str, group: str, name: str) -> str:
    """Return the URI of a role, a group (empty: none) and a name.

    Raises:
        ValueError: As for `parse_identity`.
    """
    uri = f"spiffe://{trust_domain}/" + "/".join(filter(None, (role, group, name)))
    return parse_identity(uri, trust_domain).uri
