"""Who may do what on the decision port: records that Python writes and both lanes read per call.

A GRANT belongs to one certificate and points to the HOLDER of its identity, which all certificates
and connections of that identity share; neither ever moves. What the record says of an identity is a
SCOPE, which is never changed: another one takes its place by a single store.
"""

from __future__ import annotations

from typing import Final

from server.hotpath.intrinsics import address_reference
from server.hotpath.layout import ID_WORDS, packed_dtype

_I8 = "<i8"

# Why a call is denied, as counted by method in the HOLDER. D_NONE: it is not.
DENIAL_NAMES: Final = (
    "",
    "no_certificate",
    "certificate_expired",
    "certificate_revoked",
    "identity_revoked",
    "method",
    "rate",
    "account",
    "provider",
)
(
    D_NONE,
    D_NO_CERTIFICATE,
    D_CERTIFICATE_EXPIRED,
    D_CERTIFICATE_REVOKED,
    D_IDENTITY_REVOKED,
    D_METHOD,
    D_RATE,
    D_ACCOUNT,
    D_PROVIDER,
) = range(len(DENIAL_NAMES))
DENIALS: Final = len(DENIAL_NAMES)
# Room for every METHOD_* of the lane, and the width of the mask of methods.
METHODS_MAX: Final = 16

GRANT: Final = packed_dtype(
    ("bar", _I8),  # D_* that denies every call; D_NONE: the certificate is good
    ("not_after_ns", _I8),  # its last moment, Unix time; 0: there is none
    ("holder", _I8),  # address of the HOLDER
)
HOLDER: Final = packed_dtype(
    ("scope", _I8),  # address of the SCOPE that counts now
    ("identity", (_I8, (ID_WORDS,))),  # zero padded; empty: nothing is known about the caller
    ("identity_bytes", _I8),
    # The rest is written by the lane alone.
    ("full_at_ns", _I8),  # monotonic; when all calls that may be made at once are there again
    ("denials", (_I8, (METHODS_MAX * DENIALS,))),  # counts, by method and D_*
)
SCOPE: Final = packed_dtype(
    ("bar", _I8),  # D_* that denies every call; D_NONE: the identity is in good standing
    ("methods", _I8),  # bit METHOD_*: may be called
    ("interval_ns", _I8),  # between two calls in the long run; 0: without limit
    ("burst_ns", _I8),  # the interval times the calls at once
    ("every_account", _I8),  # 1: the list of accounts does not count
    ("accounts", _I8),  # address of ids, ID_WORDS each, in ascending order
    ("account_count", _I8),
    ("every_provider", _I8),  # the same for providers
    ("providers", _I8),
    ("provider_count", _I8),
)
IDENTITY_AT: Final[int] = HOLDER.fields["identity"][1]  # type: ignore[index]
SCOPE_AT: Final[int] = HOLDER.fields["scope"][1]  # type: ignore[index]

grant_at = address_reference(GRANT)
holder_at = address_reference(HOLDER)
scope_at = address_reference(SCOPE)
