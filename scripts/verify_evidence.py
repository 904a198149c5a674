"""Verify a file of `riskgate evidence` offline, with `cryptography` and nothing of Riskgate.

    python verify_evidence.py FILE TRUST_PIN CHECKPOINT_KEY WITNESS_KEY

The three hex texts are those that you were given beforehand, never taken from the file. What is
proven is the journal entry, and of the decision what this prints, which is read from the entry: all
else that the file tells under "decision" is for reading only.
"""

import json
import struct
import sys
from base64 import b64decode as b
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Key

DECIDE, BATCH, STREAM = 4, 5, 6  # kinds of journal entries
VERDICTS = ("?", "allow", "reduce", "deny")


def signed(text: str, kind: str, keys: dict[str, str]) -> tuple[Any, set[str], str]:
    """Return what a DSSE envelope says, who signed it, its hash; raises unless all are good."""
    dsse = json.loads(b(text))
    name, body = dsse["payloadType"].encode(), b(dsse["payload"])
    require(name == b"application/vnd.riskgate.%s+json" % kind.encode(), f"it is no {kind}")
    require(len(dsse["signatures"]) > 0, f"nobody has signed the {kind}")
    message = b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)
    for one in dsse["signatures"]:
        require(one["keyid"] in keys, f"a key that may not has signed the {kind}")
        Key.from_public_bytes(bytes.fromhex(keys[one["keyid"]])).verify(b(one["sig"]), message)
    return json.loads(body), {one["keyid"] for one in dsse["signatures"]}, sha256(body).hexdigest()


def require(holds: bool, what: str) -> None:
    """End with status 1 unless it holds."""
    if not holds:
        sys.exit(f"NOT VERIFIED: {what}")


def fields(raw: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a protobuf message, as whole numbers or bytes."""
    left = iter(raw)

    def whole() -> int:
        byte = next(left)
        return byte if byte < 128 else byte - 128 + (whole() << 7)  # noqa: PLR2004

    for first in left:
        tag = first if first < 128 else first - 128 + (whole() << 7)  # noqa: PLR2004
        if tag & 7 == 0:
            yield tag >> 3, whole()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or whole()
            yield tag >> 3, bytes(next(left) for _ in range(size))


def inside(messages: list[bytes], number: int) -> list[bytes]:
    """Return the messages that stand in a field of others."""
    return [value for each in messages for place, value in fields(each) if place == number]


case = json.loads(Path(sys.argv[1]).read_text())
pin, journal_key, witness_key = sys.argv[2:5]
entry, cover, model = b(case["entry"]), case["checkpoint"], case["model"]
only = [{sha256(bytes.fromhex(key)).hexdigest(): key} for key in (journal_key, witness_key)]
said = signed(cover["envelope"], "checkpoint", only[0])[0]
marks, at = b(cover["fingerprints"]), 8 * cover["index"]
require(sha256(marks).hexdigest() == said["fingerprints_sha256"], "the journal's checkpoint")
require(marks[at : at + 8] == sha256(entry[16:]).digest()[:8], "the entry is not in the journal")
# kind, time; sizes of answer and identity, which end the entry, each filled up to whole words
kind, moment_ns, answer_size, who_size = (
    struct.unpack_from("<q", entry, o)[0] for o in (24, 40, 64, 72)
)
begin = len(entry) - -(-who_size // 8) * 8 - -(-answer_size // 8) * 8
answers = [entry[begin : begin + answer_size]]
if kind != DECIDE:
    answers = inside(inside(answers, 1), 1) if kind == BATCH else inside(answers, 2)
claimed = case["decision"]["decision_id"]
named = [answer for answer in map(dict, map(fields, answers)) if answer.get(1) == claimed]
require(kind in (DECIDE, BATCH, STREAM) and len(named) == 1, "the decision is not in the entry")
spoke = named[0].get(19, b"").hex().strip("0") and named[0][19].hex()
require(bool(spoke) == bool(model), "what is said of the model is not what the answer says")
version = "-"
if model:
    before, link = json.loads(b(json.loads(b(case["trust"][0]))["payload"])), ""
    for text in case["trust"]:  # each version is signed by the roots of the one before
        roots = {k["keyid"]: k["public_key_hex"] for k in before["keys"] if k["role"] == "root"}
        trust, signers, hashed = signed(text, "trust", roots)
        require(trust["previous_sha256"] == link and (link != "" or hashed == pin), "the trust set")
        require(len(signers) >= before["root_threshold"], "the roots of the trust set")
        before, link = trust, hashed
    people = {k["keyid"]: k for k in before["keys"]}
    keys: dict[str, dict[str, str]] = {"author": {}, "approver": {}, "control": {}, "root": {}}
    for keyid, who in people.items():
        keys[who["role"]][keyid] = who["public_key_hex"]
    digest = sha256(b(model["manifest"])).hexdigest()
    release, author = signed(model["release"], "release", keys["author"])[:2]
    require(release["manifest_sha256"] == digest, "the author has not released this model")
    require(spoke == digest, "it is not the model that the answer names")
    approved, approvers, hashed = signed(model["activation"], "activation", keys["approver"])
    written_by = {people[keyid]["person"] for keyid in author}
    others = [people[a] for a in approvers if people[a]["person"] not in written_by]
    groups = {k["group"] for k in others}
    require(groups >= {"risk", "technology"}, "nobody of risk, or of technology, has approved")
    if digest != approved["digest"]:  # control went back to what they approved as the fallback
        order = signed(model["rollback"], "rollback", keys["control"])[0]
        require(digest == approved["fallback_digest"] == order["digest"], "they approved another")
        require(order["activation_sha256"] == hashed, "the rollback is of another approval")
    version = before["version"]
    log, logged = model["ledger"], json.loads(b(model["ledger"]["entry"]))
    proof, head = b(model["proof"]), signed(log["head"], "head", only[1])[0]
    require(logged["evidence_sha256"] == sha256(proof).hexdigest(), "the log of the approval")
    require(logged["digest"] == digest and b(model["activation"]) in proof, "the log of the model")
    node = sha256(b"\0" + b(log["entry"])).digest()
    require(node.hex() == log["inclusion"]["path"][0], "the entry of the log")
    for side, other in zip(log["inclusion"]["rule"], log["inclusion"]["path"][1:], strict=False):
        pair = bytes.fromhex(other) + node if side else node + bytes.fromhex(other)
        node = sha256(b"\1" + pair).digest()
    require(node.hex() == head["ledger_root"], "the log's signed head")
lots = struct.unpack("<d", named[0].get(4, bytes(8)))[0]
time = datetime.fromtimestamp(moment_ns / 1e9, UTC).isoformat(timespec="milliseconds")
verdict = VERDICTS[named[0].get(3, 0)]
print(f"verified: decision {claimed} of {time}: {verdict}, {lots:g} lots")
print(f"model: {spoke or 'none'}, by version {version} of the trust set")
