"""Envelopes that say the same in another spelling, or with signatures that are none."""

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from server.security.activation import verify_activation
from server.security.canonical import encode_canonical
from server.security.statements import STATEMENT_BYTES_MAX, sign_payload
from server.statement_errors import (
    StatementError,
    StatementKindError,
    StatementMalformedError,
    StatementNotCanonicalError,
    StatementSignatureError,
    StatementTooLargeError,
    StatementUnknownSignerError,
)
from tests.attacks.cast import NOW_NS, TRUST, Attack, activation, entry_of, key_of, keyid_of

Document = dict[str, Any]
GOOD: Final = activation()
# Order of the group of Ed25519: S + L is another number that the same equation holds for.
_GROUP_ORDER: Final = (1 << 252) + 27742317777372353535851937790883648493


def verify(raw: bytes) -> object:
    return verify_activation(raw, TRUST, author=entry_of("author"), now_ns=NOW_NS)


def edited(change: Callable[[Document], object]) -> bytes:
    document = json.loads(GOOD)
    change(document)
    document["signatures"].sort(key=lambda signature: str(signature.get("keyid")))
    return encode_canonical(document)


def signature_of(document: Document, name: str) -> Document:
    found: Document
    (found,) = [one for one in document["signatures"] if one["keyid"] == keyid_of(name)]
    return found


def _loosen_base64(document: Document) -> None:
    # The last character before the padding carries unused bits: another text, the same bytes.
    text = document["signatures"][0]["sig"]
    last = chr(ord(text[-3]) + 1)
    assert base64.b64decode(text) == base64.b64decode(text[:-3] + last + "==")
    document["signatures"][0]["sig"] = text[:-3] + last + "=="


def _stretch_signature(document: Document) -> None:
    one = signature_of(document, "risk1")
    raw = base64.b64decode(one["sig"])
    number = int.from_bytes(raw[32:], "little") + _GROUP_ORDER
    one["sig"] = base64.b64encode(raw[:32] + number.to_bytes(32, "little")).decode()


def _rename(name: str, keyid: str) -> Callable[[Document], None]:
    return lambda document: signature_of(document, name).update(keyid=keyid)


def _swap_ids(document: Document) -> None:
    one, other = signature_of(document, "risk1"), signature_of(document, "tech1")
    one["keyid"], other["keyid"] = other["keyid"], one["keyid"]


def _copy_under(name: str) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        one = signature_of(document, "risk1")
        document["signatures"].append(one | {"keyid": keyid_of(name)})

    return change


def _repeat(document: Document) -> None:
    document["signatures"].append(signature_of(document, "risk1"))


def _set_signature(**changes: Any) -> Callable[[Document], None]:
    return lambda document: signature_of(document, "risk1").update(changes)


def _other_payload(document: Document) -> None:
    other = json.loads(activation(serial=2))
    document["payload"] = other["payload"]


def _unsorted() -> bytes:
    document = json.loads(GOOD)
    document["signatures"].reverse()
    return encode_canonical(document)


def _payload_spelled(text: str) -> bytes:
    return sign_payload(text.encode(), "application/vnd.riskgate.activation+json", key_of("risk1"))


_PAYLOAD: Final = base64.b64decode(json.loads(GOOD)["payload"]).decode()

_CASES: Final[list[tuple[str, type[StatementError], bytes]]] = [
    ("nothing at all", StatementNotCanonicalError, b""),
    ("a list", StatementNotCanonicalError, b"[]"),
    ("white space behind", StatementNotCanonicalError, GOOD + b"\n"),
    ("white space in front", StatementNotCanonicalError, b" " + GOOD),
    ("a byte order mark", StatementNotCanonicalError, b"\xef\xbb\xbf" + GOOD),
    ("two envelopes in a row", StatementNotCanonicalError, GOOD + GOOD),
    ("indented", StatementNotCanonicalError, json.dumps(json.loads(GOOD), indent=1).encode()),
    ("an escaped letter", StatementNotCanonicalError, GOOD.replace(b"appl", b"\\u0061ppl")),
    (
        "a field twice",
        StatementNotCanonicalError,
        GOOD.replace(b'"payloadType"', b'"payload":"","payloadType"'),
    ),
    ("a field too many", StatementNotCanonicalError, edited(lambda d: d.update(extra=1))),
    ("a field too few", StatementNotCanonicalError, edited(lambda d: d.pop("payloadType"))),
    ("a certificate beside", StatementNotCanonicalError, edited(_set_signature(cert="x"))),
    ("signatures are unsorted", StatementNotCanonicalError, _unsorted()),
    ("one signature twice", StatementNotCanonicalError, edited(_repeat)),
    ("base64 with loose bits", StatementNotCanonicalError, edited(_loosen_base64)),
    ("base64 of the other alphabet", StatementNotCanonicalError, edited(_set_signature(sig="-_"))),
    ("nested without end", StatementNotCanonicalError, b"[" * 200_000),
    ("larger than any statement", StatementTooLargeError, b" " * (STATEMENT_BYTES_MAX + 1)),
    ("no signatures", StatementSignatureError, edited(lambda d: d["signatures"].clear())),
    ("an empty signature", StatementSignatureError, edited(_set_signature(sig=""))),
    ("a short signature", StatementSignatureError, edited(_set_signature(sig="QUJD"))),
    ("a signature of zeros", StatementSignatureError, edited(_set_signature(sig="A" * 86 + "=="))),
    ("a signature above the group's order", StatementSignatureError, edited(_stretch_signature)),
    ("signatures of another payload", StatementSignatureError, edited(_other_payload)),
    ("key ids swapped", StatementSignatureError, edited(_swap_ids)),
    ("one signature under a second id", StatementSignatureError, edited(_copy_under("tech2"))),
    ("outsider's id on a good one", StatementUnknownSignerError, edited(_copy_under("outsider"))),
    (
        "the id in capitals",
        StatementUnknownSignerError,
        edited(_rename("risk1", keyid_of("risk1").upper())),
    ),
    ("the id cut", StatementUnknownSignerError, edited(_rename("risk1", keyid_of("risk1")[:16]))),
    ("an empty id", StatementUnknownSignerError, edited(_rename("risk1", ""))),
    (
        "the person instead of the id",
        StatementUnknownSignerError,
        edited(_rename("risk1", "ruth")),
    ),
    (
        "the type of a release",
        StatementKindError,
        edited(lambda d: d.update(payloadType="application/vnd.riskgate.release+json")),
    ),
    (
        "the type with a parameter",
        StatementKindError,
        edited(lambda d: d.update(payloadType=d["payloadType"] + "; charset=utf-8")),
    ),
    ("a type that is no text", StatementKindError, edited(lambda d: d.update(payloadType=5))),
    ("payload indented", StatementMalformedError, _payload_spelled(_PAYLOAD + " ")),
    ("payload in another order", StatementMalformedError, _payload_spelled("{" + _PAYLOAD[1:-1])),
    (
        "payload with a field twice",
        StatementMalformedError,
        _payload_spelled('{"serial":9,' + _PAYLOAD[1:]),
    ),
    ("payload that is empty", StatementMalformedError, _payload_spelled("")),
]

ATTACKS: Final = [
    Attack(f"envelope: {name}", error, partial(verify, raw)) for name, error, raw in _CASES
]
