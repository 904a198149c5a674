"""The ledger without its rows: hashes, proofs, and what verification of a copy of it finds.

An entry is canonical JSON that holds its own number and the leaf hash of the entry before it, so
that a row that was altered, removed, inserted or moved is found by its place. A cut tail, or a
ledger that was written anew from some place on, is found by signed heads, which are kept outside
the record. The tree is that of RFC 9162 with SHA-256, by pymerkle.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pymerkle import InclusionProof, InmemoryTree, InvalidProof, verify_inclusion
from pymerkle.hasher import MerkleHasher

from server.security.canonical import decode_canonical, encode_canonical

ALGORITHM: Final = "sha256"
_HASHER: Final = MerkleHasher(ALGORITHM)


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """What a signed head says of the ledger: how many entries, and the root of the tree (hex)."""

    entries: int
    root: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row as it is stored; nothing of it is believed yet."""

    entry_id: int
    content: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class LedgerFault:
    """What is wrong, and at which entry."""

    entry_id: int
    problem: str


@dataclass(slots=True)
class LedgerAccount:
    """What verification found.

    Attributes:
        head: Number of rows that were read, and the root over their content.
        signed_entries: How many of them the newest signed head covers.
        faults: In the order of the entries; empty: all is well.
    """

    head: LedgerHead
    signed_entries: int = 0
    faults: list[LedgerFault] = field(default_factory=list)


def hash_leaf(content: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256 of a zero byte and the content."""
    return bytes(_HASHER.hash_buff(content))


def build_entry(move: Mapping[str, Any], previous: LedgerEntry | None) -> LedgerEntry:
    """Return the entry of a move that follows another.

    Args:
        move: JSON values; `entry` and `previous` are added.
        previous: The newest entry so far.
    """
    number = 1 if previous is None else previous.entry_id + 1
    before = "" if previous is None else previous.leaf_hash.hex()
    content = encode_canonical({**move, "entry": number, "previous": before})
    return LedgerEntry(number, content, hash_leaf(content))


class LedgerTree:
    """The tree over entries, which are appended in their order."""

    def __init__(self, contents: Iterable[bytes] = ()) -> None:
        self._tree = InmemoryTree.init_from_entries(contents, algorithm=ALGORITHM)

    def append(self, content: bytes) -> None:
        """Append the bytes of an entry."""
        self._tree.append_entry(content)

    @property
    def head(self) -> LedgerHead:
        """Size and root."""
        return LedgerHead(int(self._tree.get_size()), self.root())

    def root(self, entries: int | None = None) -> str:
        """Return the root (hex) over the first entries, over all of them by default.

        Raises:
            ValueError: There are not so many.
        """
        return str(self._tree.get_root(entries).hex())

    def prove_inclusion(self, entry_id: int, entries: int | None = None) -> dict[str, Any]:
        """Return the JSON proof that an entry is one of the first entries.

        Raises:
            pymerkle.InvalidChallenge: There are not so many entries.
        """
        return dict(self._tree.prove_inclusion(entry_id, entries).serialize())

    def prove_consistency(self, earlier: int, later: int | None = None) -> dict[str, Any]:
        """Return the JSON proof that the entries of an earlier head are still the same.

        Raises:
            pymerkle.InvalidChallenge: There are not so many entries.
        """
        return dict(self._tree.prove_consistency(earlier, later).serialize())


def is_included(content: bytes, entry_id: int, head: LedgerHead, proof: dict[str, Any]) -> bool:
    """Tell whether a proof shows that this is the entry of that number under a head."""
    try:
        verify_inclusion(
            hash_leaf(content),
            bytes.fromhex(head.root),
            InclusionProof.deserialize(proof),
            index=entry_id,
            size=head.entries,
            algorithm=ALGORITHM,
        )
    except (InvalidProof, ValueError):
        return False
    return True


def verify_entries(entries: Iterable[LedgerEntry], heads: Iterable[LedgerHead]) -> LedgerAccount:
    """Compare rows with themselves, with each other, and with heads that were signed before.

    Args:
        entries: All rows in the order of their numbers.
        heads: Verified heads, from the oldest to the newest.
    """
    tree, faults = LedgerTree(), list[LedgerFault]()
    before: LedgerEntry | None = None
    for entry in entries:
        faults += _judge_gap(entry, before) or _judge(entry, before, faults)
        tree.append(entry.content)
        before = entry
    account = LedgerAccount(tree.head, faults=faults)
    _judge_heads(account, tree, heads)
    account.faults.sort(key=lambda fault: fault.entry_id)
    return account


def _judge_gap(entry: LedgerEntry, before: LedgerEntry | None) -> list[LedgerFault]:
    expected = 1 if before is None else before.entry_id + 1
    if entry.entry_id == expected:
        return []
    last = entry.entry_id - 1
    words = "was removed" if last == expected else f"to entry {last} were removed"
    return [LedgerFault(expected, words)]


def _judge(
    entry: LedgerEntry, before: LedgerEntry | None, faults: list[LedgerFault]
) -> list[LedgerFault]:
    if entry.leaf_hash != hash_leaf(entry.content):
        return [LedgerFault(entry.entry_id, "was altered: its hash is another")]
    try:
        content = decode_canonical(entry.content)
        number, previous = content["entry"], content["previous"]
    except (ValueError, LookupError, TypeError):
        return [LedgerFault(entry.entry_id, "was altered: it is no entry")]
    if number != entry.entry_id:
        return [LedgerFault(entry.entry_id, f"was moved or inserted: it says it is {number}")]
    if before is None:
        return [] if previous == "" else [LedgerFault(1, "was altered: it names one before")]
    is_explained = bool(faults) and faults[-1].entry_id == before.entry_id
    if previous != hash_leaf(before.content).hex() and not is_explained:
        return [LedgerFault(before.entry_id, "was altered: the next entry names another")]
    return []


def _judge_heads(account: LedgerAccount, tree: LedgerTree, heads: Iterable[LedgerHead]) -> None:
    """Find what rows alone cannot tell; the first head that differs says where."""
    held = account.head.entries
    for head in heads:
        if head.entries > held:
            problem = f"to entry {head.entries} were cut off: a signed head names them"
            account.faults.append(LedgerFault(held + 1, problem))
            return
        if tree.root(head.entries) != head.root:
            first = account.signed_entries + 1
            # An inserted last entry shows in the one behind it.
            last = head.entries + 1
            if not any(first <= fault.entry_id <= last for fault in account.faults):
                problem = f"to entry {head.entries}: written anew, a signed head has another root"
                account.faults.append(LedgerFault(first, problem))
            return
        account.signed_entries = head.entries
