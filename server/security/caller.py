"""Who is calling, for as long as one call lasts.

Set by the port that took the call, read by whatever the call reaches: rights, ownership, audit.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from riskgate.v1 import rights_pb2 as pb
from server.trust_errors import ObjectDeniedError

INSECURE_LOOPBACK: Final = "insecure-loopback"
_EVERY_ROLE: Final = pb.ROLE_ADMIN


@dataclass(frozen=True, slots=True)
class Caller:
    """One identity as it was judged.

    Attributes:
        uri: SAN URI of the certificate; `insecure-loopback` for plaintext on this machine, which
            has every right and needs no second factor.
        role: riskgate.v1.Role.
        groups: riskgate.v1.Group.
        accounts: Accounts it may use; None: every account.
        providers: Providers it may name in orders; None: every provider.
        address: Network address without port; empty: not over a network.
        not_after_ns: End of its certificate, Unix nanoseconds; 0: there is none.
        is_insecure: Nothing is known about it, and `insecure_loopback` allows that.
    """

    uri: str
    role: pb.Role
    groups: frozenset[pb.Group] = frozenset()
    accounts: frozenset[str] | None = None
    providers: frozenset[str] | None = None
    address: str = ""
    not_after_ns: int = 0
    is_insecure: bool = False

    def owns(self, account_id: str) -> bool:
        """Tell whether it may use an account."""
        return self.accounts is None or account_id in self.accounts

    def require_account(self, account_id: str) -> None:
        """Do nothing for an account it may use.

        Raises:
            ObjectDeniedError: It is somebody else's.
        """
        if not self.owns(account_id):
            raise ObjectDeniedError

    def require_provider(self, provider_id: str) -> None:
        """Do nothing for a provider it may name.

        Raises:
            ObjectDeniedError: It is none of its own.
        """
        if self.providers is not None and provider_id not in self.providers:
            raise ObjectDeniedError


@dataclass(frozen=True, slots=True)
class Call:
    """One call in progress.

    Attributes:
        caller: Who.
        method: Path of the method; empty: not a call but our own process.
    """

    caller: Caller
    method: str = ""


def own_process(name: str) -> Caller:
    """Return the caller that stands for one of our own processes, such as `control`."""
    return Caller(uri=name, role=_EVERY_ROLE)


_CALL: ContextVar[Call | None] = ContextVar("call", default=None)


def current_call() -> Call:
    """Return the call in progress; our own process when there is none."""
    return _CALL.get() or Call(own_process("server"))


def set_current_call(call: Call | None) -> None:
    """Say which call the present context (task) works for."""
    _CALL.set(call)
