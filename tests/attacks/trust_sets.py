"""Trust sets that somebody else has made, older ones, and ones that break a rule."""

import json
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from server.security.canonical import encode_canonical
from server.security.statements import merge_signatures, sign_statement
from server.security.trust_files import trust_file, write_first
from server.security.trust_set import follow_trust_set, load_trust_set
from server.statement_errors import (
    TrustSetForeignError,
    TrustSetGapError,
    TrustSetMissingError,
    TrustSetNotCanonicalError,
    TrustSetPredecessorError,
    TrustSetRollbackError,
    TrustSetSignatureError,
    TrustSetSignerError,
    TrustSetUnsignedError,
    TrustSetVersionError,
)
from server.trust_errors import TrustSetInvalidError
from tests.attacks.cast import (
    Attack,
    activation,
    key_of,
    signed,
    trust_payload,
)

FIRST: Final = trust_payload()
FIRST_SIGNED: Final = signed(FIRST, "trust", "root1", "root2")
PIN: Final = sha256(FIRST).hexdigest()
_STAFF: Final = ("author", "risk1", "tech1", "control", "root1", "root2")
SECOND: Final = trust_payload(*_STAFF, previous=FIRST)
SECOND_SIGNED: Final = signed(SECOND, "trust", "root2", "root3")
THIRD: Final = trust_payload(*_STAFF, "tech2", previous=SECOND)
THIRD_SIGNED: Final = signed(THIRD, "trust", "root1", "root2")
_FORK: Final = trust_payload(*_STAFF, "risk2", previous=FIRST)

CHAIN: Final = (FIRST_SIGNED, SECOND_SIGNED, THIRD_SIGNED)


def lay_out(keys_dir: Path, *versions: bytes, pin: str = PIN) -> None:
    """Write these versions, whatever stood there."""
    write_first(keys_dir, versions[0], pin)
    for version, raw in enumerate(versions, 1):
        trust_file(keys_dir, version).write_bytes(raw)


def load(*versions: bytes, change: Callable[[Path], object] = lambda _: None) -> object:
    """Load these versions after a change to their folder."""
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder), *versions)
        change(Path(folder))
        return load_trust_set(Path(folder))


def load_after(used: tuple[bytes, ...], *versions: bytes) -> object:
    """Load these versions where others have been in use."""

    def change(keys_dir: Path) -> None:
        load_trust_set(keys_dir)
        for path in (keys_dir / "trust").iterdir():
            path.unlink()
        for version, raw in enumerate(versions, 1):
            trust_file(keys_dir, version).write_bytes(raw)

    return load(*used, change=change)


def altered(payload: bytes, change: Callable[[dict[str, Any]], object], *signers: str) -> bytes:
    """A trust set that its roots have signed although it breaks a rule."""
    document = json.loads(payload)
    change(document)
    raw = encode_canonical(document)
    return signed(raw, "trust", *(signers or ("root1", "root2")))


def load_altered(change: Callable[[dict[str, Any]], object]) -> object:
    return load(FIRST_SIGNED, altered(SECOND, change))


def _forged() -> bytes:
    document = json.loads(SECOND_SIGNED)
    outsider = json.loads(sign_statement(SECOND, "trust", key_of("outsider")))
    document["signatures"][0]["sig"] = outsider["signatures"][0]["sig"]
    return encode_canonical(document)


def _unlink(*versions: int) -> Callable[[Path], object]:
    def change(keys_dir: Path) -> None:
        for version in versions:
            trust_file(keys_dir, version).unlink()

    return change


def _follow(theirs: tuple[bytes, ...], ours: tuple[bytes, ...]) -> object:
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder) / "theirs", *theirs, pin=_pin_of(theirs[0]))
        lay_out(Path(folder) / "ours", *ours)
        return follow_trust_set(Path(folder) / "theirs", Path(folder) / "ours")


def _pin_of(envelope: bytes) -> str:
    from server.security.statements import payload_of

    return sha256(payload_of(envelope, "trust")).hexdigest()


_FOREIGN: Final = signed(trust_payload(*_STAFF), "trust", "root1", "root2")


def _strip(envelope: bytes) -> bytes:
    return encode_canonical(json.loads(envelope) | {"signatures": []})


Case = tuple[str, type[TrustSetInvalidError], Callable[[], object]]

_CASES: Final[list[Case]] = [
    ("another first set", TrustSetForeignError, lambda: load(_FOREIGN)),
    ("another first set with our second", TrustSetForeignError, lambda: load(_FOREIGN, *CHAIN[1:])),
    ("an unsigned first set", TrustSetSignatureError, lambda: load(_strip(FIRST_SIGNED))),
    (
        "a first set that one root signed",
        TrustSetUnsignedError,
        lambda: load(signed(FIRST, "trust", "root1")),
    ),
    (
        "a first set that an author signed",
        TrustSetSignerError,
        lambda: load(signed(FIRST, "trust", "author", "root1", "root2")),
    ),
    (
        "a successor that one root signed",
        TrustSetUnsignedError,
        lambda: load(FIRST_SIGNED, signed(SECOND, "trust", "root1")),
    ),
    (
        "a successor that nobody signed",
        TrustSetSignatureError,
        lambda: load(FIRST_SIGNED, _strip(SECOND_SIGNED)),
    ),
    (
        "a successor that approvers signed",
        TrustSetSignerError,
        lambda: load(FIRST_SIGNED, signed(SECOND, "trust", "risk1", "tech1")),
    ),
    (
        "a successor that an outsider signed",
        TrustSetSignerError,
        lambda: load(FIRST_SIGNED, signed(SECOND, "trust", "outsider")),
    ),
    (
        "a successor with one signature too many",
        TrustSetSignerError,
        lambda: load(FIRST_SIGNED, signed(SECOND, "trust", "outsider", "root1", "root2")),
    ),
    (
        "a successor signed by a root who has left",
        TrustSetSignerError,
        lambda: load(*CHAIN[:2], signed(THIRD, "trust", "root1", "root3")),
    ),
    ("a forged signature of a root", TrustSetSignatureError, lambda: load(FIRST_SIGNED, _forged())),
    (
        "the same root twice",
        TrustSetUnsignedError,
        lambda: load(
            FIRST_SIGNED,
            merge_signatures(signed(SECOND, "trust", "root1"), signed(SECOND, "trust", "root1")),
        ),
    ),
    (
        "a successor of another one",
        TrustSetPredecessorError,
        lambda: load(FIRST_SIGNED, signed(_FORK, "trust", "root1", "root2"), THIRD_SIGNED),
    ),
    (
        "a successor of nothing",
        TrustSetPredecessorError,
        lambda: load_altered(lambda document: document.update(previous_sha256="")),
    ),
    (
        "a first set that follows something",
        TrustSetForeignError,
        lambda: load(altered(FIRST, lambda document: document.update(previous_sha256="0" * 64))),
    ),
    (
        "the third in place of the second",
        TrustSetVersionError,
        lambda: load(FIRST_SIGNED, THIRD_SIGNED),
    ),
    (
        "the first once more as the second",
        TrustSetVersionError,
        lambda: load(FIRST_SIGNED, FIRST_SIGNED),
    ),
    (
        "a jump ahead",
        TrustSetVersionError,
        lambda: load_altered(lambda document: document.update(version=1_000)),
    ),
    ("a gap", TrustSetGapError, lambda: load(*CHAIN, change=_unlink(2))),
    ("no first version", TrustSetGapError, lambda: load(*CHAIN, change=_unlink(1))),
    ("nothing", TrustSetMissingError, lambda: load(*CHAIN, change=_unlink(1, 2, 3))),
    ("back to the first", TrustSetRollbackError, lambda: load_after(CHAIN, *CHAIN[:1])),
    ("back by one", TrustSetRollbackError, lambda: load_after(CHAIN, *CHAIN[:2])),
    (
        "another one of the same version",
        TrustSetRollbackError,
        lambda: load_after(CHAIN[:2], FIRST_SIGNED, signed(_FORK, "trust", "root1", "root2")),
    ),
    (
        "an activation as a trust set",
        TrustSetNotCanonicalError,
        lambda: load(FIRST_SIGNED, activation()),
    ),
    (
        "a trust set signed as a head",
        TrustSetNotCanonicalError,
        lambda: load(FIRST_SIGNED, signed(SECOND, "head", "root1", "root2")),
    ),
    (
        "white space behind",
        TrustSetNotCanonicalError,
        lambda: load(FIRST_SIGNED, SECOND_SIGNED + b"\n"),
    ),
    ("to follow a foreign one", TrustSetForeignError, lambda: _follow((_FOREIGN,), CHAIN[:1])),
    (
        "to follow one that has parted",
        TrustSetPredecessorError,
        lambda: _follow((FIRST_SIGNED, signed(_FORK, "trust", "root1", "root2")), CHAIN),
    ),
    (
        "to follow an unsigned successor",
        TrustSetUnsignedError,
        lambda: _follow((FIRST_SIGNED, signed(SECOND, "trust", "root1")), CHAIN[:1]),
    ),
]

ATTACKS: Final = [Attack(f"trust set: {name}", error, attempt) for name, error, attempt in _CASES]
