"""The trust set: whose keys are accepted, for what, and who may change that.

`keys/trust/` holds every version, 1.trust.json, 2.trust.json … without a gap. Each is a signed
statement: the first is signed by its own roots and its fingerprint is pinned in `keys/trust.pin`;
each further one names its predecessor by hash and is signed by the threshold of the predecessor's
roots. The newest version that was ever used is noted in `keys/trust.seen`, and nothing older is
accepted afterwards. The set is read whole or refused whole.

A key that the newest version no longer names ends all that it has signed, also approvals of what is
active: activate anew with other approvers before a key is removed.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from securesystemslib.dsse import Envelope

from server.errors import AlreadyExistsError
from server.security.canonical import encode_canonical
from server.security.new_file import write_new_file
from server.security.statements import open_statement, parse_payload, verify_all
from server.security.trust_files import (
    PIN_FILE,
    read_pin,
    read_trust_files,
    remember_version,
    trust_file,
    write_first,
)
from server.security.trusted_key import TrustedKey, TrustSet, compute_keyid
from server.statement_errors import (
    StatementError,
    StatementMalformedError,
    StatementUnknownSignerError,
    TrustSetForeignError,
    TrustSetKeyIdError,
    TrustSetKeyTwiceError,
    TrustSetKeyUnusableError,
    TrustSetMalformedError,
    TrustSetMissingError,
    TrustSetNotCanonicalError,
    TrustSetPersonTwiceError,
    TrustSetPredecessorError,
    TrustSetSignatureError,
    TrustSetSignerError,
    TrustSetThresholdError,
    TrustSetUnsignedError,
    TrustSetVersionError,
)

# Public keys of small order, for which anybody can make signatures, and the field's order: a larger
# number is a second spelling of a smaller one.
_FIELD_ORDER = (1 << 255) - 19
_SMALL_ORDER = frozenset(
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "ec" + "ff" * 30 + "7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
)


class TrustStatement(BaseModel):
    """What roots sign.

    Attributes:
        statement: Names this form.
        version: 1, 2, 3 …
        previous_sha256: Of the payload of the predecessor; empty in the first.
        root_threshold: How many of these roots must sign the successor.
        keys: All accepted keys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    statement: Literal["riskgate.trust.v1"] = "riskgate.trust.v1"
    version: int = Field(ge=1, le=1_000_000)
    previous_sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")
    root_threshold: int = Field(ge=1, le=64)
    keys: list[TrustedKey] = Field(min_length=1, max_length=64)


class _Link(NamedTuple):
    statement: TrustStatement
    fingerprint: str

    def roots(self) -> dict[str, str]:
        keys = self.statement.keys
        return {key.keyid: key.public_key_hex for key in keys if key.role == "root"}


def build_trust_set(
    keys: Sequence[TrustedKey], *, root_threshold: int, previous: bytes | None = None
) -> bytes:
    """Return the payload of a trust set, to be signed by roots as a statement of the kind "trust".

    Args:
        keys: All accepted keys.
        root_threshold: How many of its roots must sign the successor.
        previous: Payload of the predecessor, whose roots must sign this one; None: it is the first.

    Raises:
        TrustSetInvalidError: The keys break a rule, or the predecessor cannot be read.
        ValueError: A field is out of range (pydantic's ValidationError is one).
    """
    statement = TrustStatement(
        version=1 if previous is None else parse_trust_set(previous).version + 1,
        previous_sha256="" if previous is None else sha256(previous).hexdigest(),
        root_threshold=root_threshold,
        keys=sorted(keys, key=lambda key: key.keyid),
    )
    _check_keys(statement)
    return encode_canonical(statement.model_dump())


def load_trust_set(keys_dir: Path) -> TrustSet:
    """Read and check all versions of the trust set and return the newest.

    Args:
        keys_dir: Holds `trust/`, `trust.pin` and `trust.seen`; the last is written when a newer
            version is met for the first time.

    Raises:
        TrustSetInvalidError: One subclass for each reason, see `statement_errors.py`.
    """
    pin = read_pin(keys_dir)
    trust, fingerprint = verify_trust_chain(read_trust_files(keys_dir), pin)
    remember_version(keys_dir, trust.version, fingerprint)
    return trust


def follow_trust_set(theirs: Path, ours: Path) -> int:
    """Copy the versions that another folder of keys has beyond ours, if they follow ours.

    Args:
        theirs: Read only.
        ours: A folder without a pin takes theirs, once.

    Returns:
        How many versions were copied.

    Raises:
        TrustSetInvalidError: Theirs cannot be read or does not verify against our pin, or it has
            parted from ours; nothing is copied then.
    """
    versions = read_trust_files(theirs)
    pin = read_pin(ours if (ours / PIN_FILE).exists() else theirs)
    verify_trust_chain(versions, pin)
    own = read_trust_files(ours) if trust_file(ours, 1).exists() else []
    if own != versions[: len(own)]:
        raise TrustSetPredecessorError(f"{theirs} has other versions than {ours}")
    if not own:
        write_first(ours, versions[0], pin)
    for version, raw in enumerate(versions[1:], 2):
        write_new_file(trust_file(ours, version), raw, mode=0o644)
    return len(versions) - len(own)


def add_version(keys_dir: Path, envelope: bytes, pin: str = "") -> TrustSet:
    """Write the next version, if it may follow those that are there.

    Args:
        keys_dir: Gets the version.
        envelope: With the signatures of the roots.
        pin: Fingerprint of the first version; only asked for where there is none yet.

    Raises:
        TrustSetInvalidError: One subclass for each reason; nothing is written then.
        AlreadyExistsError: Somebody else has just written this version.
    """
    is_first = not trust_file(keys_dir, 1).exists()
    own = [] if is_first else read_trust_files(keys_dir)
    pin = pin if is_first else read_pin(keys_dir)
    trust, fingerprint = verify_trust_chain([*own, envelope], pin)
    if is_first:
        write_first(keys_dir, envelope, fingerprint)
    else:
        write_new_file(trust_file(keys_dir, trust.version), envelope, mode=0o644)
    if read_trust_files(keys_dir)[trust.version - 1] != envelope:
        raise AlreadyExistsError("trust set", f"version {trust.version}")
    return load_trust_set(keys_dir)


def read_payloads(keys_dir: Path) -> list[bytes]:
    """Return the payloads of all versions, the first one first; nothing is verified.

    Raises:
        TrustSetInvalidError: The files cannot be read.
    """
    return [
        _open(raw, version).payload for version, raw in enumerate(read_trust_files(keys_dir), 1)
    ]


def verify_trust_chain(envelopes: Sequence[bytes], pin: str) -> tuple[TrustSet, str]:
    """Verify all versions; nothing is read from a disk or written.

    Args:
        envelopes: At least one, the first version first.
        pin: SHA-256 hex of the payload of the first.

    Returns:
        The last version, and the SHA-256 hex of its payload.

    Raises:
        TrustSetInvalidError: One subclass for each reason.
    """
    link: _Link | None = None
    for version, raw in enumerate(envelopes, 1):
        link = _open_link(raw, version, link, pin)
    if link is None:
        raise TrustSetMissingError
    statement = link.statement
    keys = {key.keyid: key for key in statement.keys}
    return TrustSet(statement.version, keys, statement.root_threshold), link.fingerprint


def _open_link(raw: bytes, version: int, before: _Link | None, pin: str) -> _Link:
    envelope = _open(raw, version)
    statement = parse_trust_set(envelope.payload)
    link = _Link(statement, sha256(envelope.payload).hexdigest())
    if before is None and link.fingerprint != pin:
        raise TrustSetForeignError(f"its fingerprint is {link.fingerprint}")
    if statement.version != version:
        raise TrustSetVersionError(f"version {statement.version} stands in the place of {version}")
    if statement.previous_sha256 != (before.fingerprint if before else ""):
        raise TrustSetPredecessorError(f"version {version}")
    _check_keys(statement)
    _check_signatures(envelope, before or link, version)
    return link


def _open(raw: bytes, version: int) -> Envelope:
    try:
        return open_statement(raw, "trust")
    except StatementError as error:
        raise TrustSetNotCanonicalError(f"version {version}: {error}") from error


def parse_trust_set(payload: bytes) -> TrustStatement:
    """Read the payload of a trust set; who signed it is not looked at.

    Raises:
        TrustSetMalformedError: It is no canonical trust set.
    """
    try:
        return parse_payload(payload, TrustStatement)
    except StatementMalformedError as error:
        raise TrustSetMalformedError(f"{error}: {error.__cause__}") from error


def _check_keys(statement: TrustStatement) -> None:
    for key in statement.keys:
        public = bytes.fromhex(key.public_key_hex)
        if compute_keyid(public) != key.keyid:
            raise TrustSetKeyIdError(f"the key of {key.person}")
        # The sign of x stands in the top bit.
        y = int.from_bytes(public, "little") & ((1 << 255) - 1)
        if y in _SMALL_ORDER or y >= _FIELD_ORDER:
            raise TrustSetKeyUnusableError(f"the key of {key.person}")
    _refuse_repeated(Counter(key.keyid for key in statement.keys), TrustSetKeyTwiceError)
    seats = Counter(f"{key.person} as {key.role}" for key in statement.keys)
    _refuse_repeated(seats, TrustSetPersonTwiceError)
    roots = sum(key.role == "root" for key in statement.keys)
    if roots < statement.root_threshold:
        raise TrustSetThresholdError(f"{statement.root_threshold} of {roots}")


def _refuse_repeated(
    counts: Counter[str], error: type[TrustSetKeyTwiceError | TrustSetPersonTwiceError]
) -> None:
    what, count = counts.most_common(1)[0]
    if count > 1:
        raise error(what)


def _check_signatures(envelope: Envelope, signers: _Link, version: int) -> None:
    try:
        verify_all(envelope, signers.roots())
    except StatementUnknownSignerError as error:
        raise TrustSetSignerError(f"version {version}: {error}") from error
    except StatementError as error:
        raise TrustSetSignatureError(f"version {version}: {error}") from error
    if len(envelope.signatures) < signers.statement.root_threshold:
        raise TrustSetUnsignedError(
            f"version {version}: {len(envelope.signatures)} of {signers.statement.root_threshold}"
        )
