"""Every failure that Riskgate raises on purpose, in one tree.

A class fixes two things: the gRPC code by name and the public text. Only `public_message()` may
leave the process through an RPC; `str(error)` holds the whole story and goes to the log and to the
terminal of the operator. A refused order is *not* an error: it is an OK answer with reason codes.

    RiskgateError                               INTERNAL
    ├── BrokenInvariantError                    INTERNAL             our own mistake, counted apart
    ├── InvalidFieldError                       INVALID_ARGUMENT     names the field
    ├── NotFoundError                           NOT_FOUND
    ├── AlreadyExistsError                      ALREADY_EXISTS
    ├── ConflictError                           ABORTED              somebody changed it meanwhile
    ├── PreconditionError                       FAILED_PRECONDITION
    ├── ExhaustedError                          RESOURCE_EXHAUSTED   a bounded thing is full
    ├── UnavailableError                        UNAVAILABLE          safe to retry
    ├── ConfigurationError                      FAILED_PRECONDITION  lists all problems together
    ├── EmbeddedServiceError                    UNAVAILABLE          says how to mend it
    ├── OtherReleaseError                       FAILED_PRECONDITION  journal or snapshot; names it
    ├── SnapshotError                           FAILED_PRECONDITION  a snapshot of the state
    │   ├── SnapshotDamagedError                                     its bytes are not those written
    │   ├── SnapshotLayoutError                                      a table has other columns now
    │   └── SnapshotCapacityError                                    a table has too few rows now
    └── JournalError                            UNAVAILABLE
        ├── JournalCorruptError                 FAILED_PRECONDITION  names segment, offset and entry
        ├── JournalTrimmedError                 NOT_FOUND            entries that are deleted by now
        ├── JournalFullError                    RESOURCE_EXHAUSTED   no space for another segment
        ├── JournalFailedError                  UNAVAILABLE          the disk did not take the bytes
        ├── JournalFencedError                  FAILED_PRECONDITION  another engine has taken over
        └── JournalTamperedError                FAILED_PRECONDITION  not what was sealed

What refuses keys, artifacts and callers has a page of its own: `trust_errors.py`. So has what
refuses trust sets and approvals: `statement_errors.py`.
"""

import re
from collections.abc import Sequence
from typing import ClassVar

# What a public detail may consist of: no slash (paths), no quotes, no line breaks, no angle
# brackets of a Python repr. Everything else becomes a question mark.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.,:;=+%\[\]() -]")
_DETAIL_LENGTH_MAX = 160


class RiskgateError(Exception):
    """Base of all failures raised on purpose.

    Args:
        story: For the log and the operator's terminal only; may name paths and causes.
        detail: Public, appended to the fixed text after unsafe characters were replaced.
        field: Public, dotted path of the request field at fault, such as `entry_price`.
    """

    grpc_code: ClassVar[str] = "INTERNAL"
    public_text: ClassVar[str] = "internal error"

    def __init__(self, story: str = "", *, detail: str = "", field: str = "") -> None:
        self.detail = replace_unsafe(detail)
        self.field = replace_unsafe(field)
        super().__init__(story or self.public_message())

    def public_message(self) -> str:
        """Return the text that may leave the process: fixed words, then field, then detail."""
        parts = (self.public_text, self.field, self.detail)
        return ": ".join(part for part in parts if part)


class BrokenInvariantError(RiskgateError):
    """A precondition between our own parts does not hold; refuse at once."""


class InvalidFieldError(RiskgateError):
    """A request field, such as `items[3].entry_price`, is absent, malformed or out of range."""

    grpc_code = "INVALID_ARGUMENT"
    public_text = "invalid field"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(detail=problem, field=field)
        self.problem = self.detail


class NotFoundError(RiskgateError):
    """The named thing does not exist."""

    grpc_code = "NOT_FOUND"
    public_text = "not found"

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(detail=f"{kind} {key}")


class AlreadyExistsError(RiskgateError):
    """The key is taken by something else."""

    grpc_code = "ALREADY_EXISTS"
    public_text = "already exists"

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(detail=f"{kind} {key}")


class ConflictError(RiskgateError):
    """The version that the caller read is no longer the current one."""

    grpc_code = "ABORTED"
    public_text = "changed meanwhile, read again"

    def __init__(self, kind: str, key: str, *, expected_version: int, version: int) -> None:
        super().__init__(detail=f"{kind} {key} has version {version}, expected {expected_version}")


class PreconditionError(RiskgateError):
    """The request is well formed, but the state does not permit it."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "not permitted in the present state"

    def __init__(self, problem: str) -> None:
        super().__init__(detail=problem)


class ExhaustedError(RiskgateError):
    """A bounded table, queue or ring is full."""

    grpc_code = "RESOURCE_EXHAUSTED"
    public_text = "capacity exhausted"

    def __init__(self, resource: str) -> None:
        super().__init__(detail=resource)


class UnavailableError(RiskgateError):
    """Something that we depend on is away for the moment."""

    grpc_code = "UNAVAILABLE"
    public_text = "temporarily unavailable"

    def __init__(self, dependency: str, story: str = "") -> None:
        super().__init__(story, detail=dependency)


class ConfigurationError(RiskgateError):
    """Settings are wrong: all problems, each `name: what is wrong`, never a secret's value."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the server is not configured correctly"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("settings are not usable:\n  " + "\n  ".join(self.problems))


class EmbeddedServiceError(RiskgateError):
    """PostgreSQL or Redis cannot be started: which problem, and how the operator can mend it."""

    grpc_code = "UNAVAILABLE"
    public_text = "an embedded service is not available"

    def __init__(self, problem: str, *, mend: str) -> None:
        self.problem = problem
        self.mend = mend
        super().__init__(f"{problem}\n  Mend: {mend}")


class JournalError(RiskgateError):
    """The journal cannot be used as asked."""

    grpc_code = "UNAVAILABLE"
    public_text = "the journal cannot be used"


class JournalCorruptError(JournalError):
    """Nobody wrote this; `offset` in bytes of the file, `number` 0 where no entry is concerned."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the journal is corrupt"

    def __init__(self, problem: str, *, path: object, offset: int = 0, number: int = 0) -> None:
        self.problem, self.path, self.offset, self.number = problem, path, offset, number
        entry = f", entry {number}" if number else ""
        super().__init__(
            f"{self.public_text}: {path}, offset {offset}{entry}: {problem}\n"
            "  Mend: keep a copy of the journal, then start from a backup or promote the standby",
            detail=entry.removeprefix(", "),
        )


class JournalTrimmedError(JournalError):
    """Entries were asked for that are deleted by now; `oldest` is the first that is left."""

    grpc_code = "NOT_FOUND"
    public_text = "the journal no longer has these entries"

    def __init__(self, number: int, oldest: int) -> None:
        super().__init__(detail=f"entry {number}, the oldest is {oldest}")


class JournalFullError(JournalError):
    """There is no space for another segment; tried again until there is."""

    grpc_code = "RESOURCE_EXHAUSTED"
    public_text = "the journal has no space left"


class JournalFailedError(JournalError):
    """The operating system did not take what the journal wrote."""

    public_text = "the journal cannot be written"


class JournalFencedError(JournalError):
    """Another engine, of `epoch`, has taken over; this one must not write here any more."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "another engine has taken over"

    def __init__(self, epoch: int, story: str = "") -> None:
        super().__init__(story, detail=f"epoch {epoch} is active")


class JournalTamperedError(JournalError):
    """Journal or checkpoints are not what was sealed; nothing more is sealed on top of them."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the journal contradicts its checkpoints"


class SnapshotError(RiskgateError):
    """A snapshot was refused; the state it was to fill is untouched."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "the snapshot was refused"


class SnapshotDamagedError(SnapshotError):
    """The file is cut, changed or no snapshot of this format; an older one may be whole."""

    public_text = "the snapshot is damaged"


class OtherReleaseError(RiskgateError):
    """Another arithmetic wrote it, whose answers to the same requests may differ."""

    grpc_code = "FAILED_PRECONDITION"
    public_text = "it belongs to another release"


class SnapshotLayoutError(SnapshotError):
    """A table of the snapshot has a column that this release lacks or shapes otherwise."""

    public_text = "the snapshot's tables are not those of this release"


class SnapshotCapacityError(SnapshotError):
    """A table of the snapshot has more rows in use than the engine has room for."""

    public_text = "the snapshot does not fit into the configured capacity"


def replace_unsafe(text: str) -> str:
    """Return text cut to the public length, each unsafe character replaced by a question mark."""
    return _UNSAFE.sub("?", text)[:_DETAIL_LENGTH_MAX]
