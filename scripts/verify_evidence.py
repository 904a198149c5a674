"""Verify a file of `riskgate evidence` offline, with `cryptography` and nothing of Riskgate.

    python verify_evidence.py FILE TRUST_PIN CHECKPOINT_KEY WITNESS_KEY

The three hex texts are those that you were given beforehand, never taken from the file.
"""

import json
import sys
from base64 import b64decode as b
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as Key


def signed(text: str, keys: dict[str, str]) -> tuple[Any, set[str], str]:
    """Return what a DSSE envelope says, who signed it, its hash; raises unless all are good."""
    dsse = json.loads(b(text))
    kind, body = dsse["payloadType"].encode(), b(dsse["payload"])
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(body), body)
    for one in dsse["signatures"]:
        Key.from_public_bytes(bytes.fromhex(keys[one["keyid"]])).verify(b(one["sig"]), message)
    return json.loads(body), {one["keyid"] for one in dsse["signatures"]}, sha256(body).hexdigest()


def require(holds: bool, what: str) -> None:
    """End with status 1 unless it holds."""
    if not holds:
        sys.exit(f"NOT VERIFIED: {what}")


case = json.loads(Path(sys.argv[1]).read_text())
pin, journal_key, witness_key = sys.argv[2:5]
entry, cover, model = b(case["entry"]), case["checkpoint"], case["model"]
only = [{sha256(bytes.fromhex(key)).hexdigest(): key} for key in (journal_key, witness_key)]
said = signed(cover["envelope"], only[0])[0]
marks, at = b(cover["fingerprints"]), 8 * cover["index"]
require(sha256(marks).hexdigest() == said["fingerprints_sha256"], "the journal's checkpoint")
require(marks[at : at + 8] == sha256(entry[16:]).digest()[:8], "the entry is not in the journal")
if model:
    before, link = json.loads(b(json.loads(b(case["trust"][0]))["payload"])), ""
    for text in case["trust"]:  # each version is signed by the roots of the one before
        roots = {k["keyid"]: k["public_key_hex"] for k in before["keys"] if k["role"] == "root"}
        trust, signers, hashed = signed(text, roots)
        require(trust["previous_sha256"] == link and (link != "" or hashed == pin), "the trust set")
        require(len(signers) >= before["root_threshold"], "the roots of the trust set")
        before, link = trust, hashed
    people = {k["keyid"]: k for k in before["keys"]}
    keys = {keyid: k["public_key_hex"] for keyid, k in people.items()}
    digest = sha256(b(model["manifest"])).hexdigest()
    release, author = signed(model["release"], keys)[:2]
    require(release["manifest_sha256"] == digest, "the author has not released this model")
    require(bytes.fromhex(digest) in entry, "it is not the model that the answer names")
    approved, approvers = signed(model["activation"], keys)[:2]
    written_by = {people[keyid]["person"] for keyid in author}
    others = [people[a] for a in approvers if people[a]["person"] not in written_by]
    groups = {k["group"] for k in others if k["role"] == "approver"}
    require(groups >= {"risk", "technology"}, "nobody of risk, or of technology, has approved")
    require(digest in (approved["digest"], approved["fallback_digest"]), "they approved another")
    log, logged = model["ledger"], json.loads(b(model["ledger"]["entry"]))
    proof, head = b(model["proof"]), signed(log["head"], only[1])[0]
    require(logged["evidence_sha256"] == sha256(proof).hexdigest(), "the log of the approval")
    require(logged["digest"] == digest and b(model["activation"]) in proof, "the log of the model")
    node = sha256(b"\0" + b(log["entry"])).digest()
    require(node.hex() == log["inclusion"]["path"][0], "the entry of the log")
    for side, other in zip(log["inclusion"]["rule"], log["inclusion"]["path"][1:], strict=False):
        pair = bytes.fromhex(other) + node if side else node + bytes.fromhex(other)
        node = sha256(b"\1" + pair).digest()
    require(node.hex() == head["ledger_root"], "the log's signed head")
print("verified: decision", case["decision"]["decision_id"], "of", case["decision"]["time"])
