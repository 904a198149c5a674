"""Off-switches of what makes a model speak: signed statements, trust sets, artifacts, models."""

from typing import Final

from tests.off_switches.switch import Switch

_ATTACK: Final = (
    "tests/security/test_attacks.py::test_an_attack_is_refused_by_the_error_that_names_it"
)
_MODELS: Final = "tests/services/test_model_service.py::"
_STATEMENTS: Final = "server/security/statements.py"
_APPROVAL: Final = "server/security/activation.py"
_PROOF: Final = "server/security/activation_proof.py"
_TRUST: Final = "server/security/trust_set.py"
_SERVICE: Final = "server/services/activations.py"

STATEMENTS: Final = (
    Switch(
        "an envelope has one spelling",
        "T7",
        _STATEMENTS,
        "if not same or unknown_fields or list",
        f"{_ATTACK}[envelope: base64 with loose bits]",
        "if unknown_fields or list",
    ),
    Switch(
        "signatures have one order",
        "T7",
        _STATEMENTS,
        " or list(envelope.signatures) != sorted(envelope.signatures):",
        f"{_ATTACK}[envelope: signatures are unsorted]",
        ":",
    ),
    Switch(
        "a statement of one kind is none of another",
        "T6",
        _STATEMENTS,
        "if envelope.payload_type != payload_type(kind):",
        f"{_ATTACK}[statement signed as a release]",
    ),
    Switch(
        "a signature of a stranger is not passed over",
        "T5",
        _STATEMENTS,
        "    if unknown:\n"
        '        raise StatementUnknownSignerError(f"key id {unknown[0][:64]!r}")\n',
        f"{_ATTACK}[approved by risk1 and tech1 and outsider]",
        "    for keyid in unknown:\n        del envelope.signatures[keyid]\n",
    ),
    Switch(
        "signatures are verified",
        "T7",
        _STATEMENTS,
        "envelope.verify(keys, threshold=len(keys))",
        f"{_ATTACK}[envelope: signatures of another payload]",
        "len(keys)",
    ),
    Switch(
        "an author does not approve",
        "T5",
        _APPROVAL,
        "if approver.keyid in excluded_keys or approver.person in excluded_people:",
        f"{_ATTACK}[an approver who is the author]",
    ),
    Switch(
        "an author does not approve with another key",
        "T5",
        _APPROVAL,
        " or approver.person in excluded_people:",
        f"{_ATTACK}[author's second key]",
        ":",
    ),
    Switch(
        "nobody approves twice",
        "T5",
        _APPROVAL,
        "if count > 1:",
        f"{_ATTACK}[two keys of one person]",
    ),
    Switch(
        "somebody of risk approves",
        "T5",
        _APPROVAL,
        'if "risk" not in groups:',
        f"{_ATTACK}[approved by tech1 and tech2]",
    ),
    Switch(
        "somebody of technology approves",
        "T5",
        _APPROVAL,
        'if "technology" not in groups:',
        f"{_ATTACK}[approved by risk1 and risk2]",
    ),
    Switch(
        "an approval expires",
        "T6",
        _APPROVAL,
        "if at_ns >= ends_ns:",
        f"{_ATTACK}[expired a year ago]",
    ),
    Switch(
        "an approval lasts a day at most",
        "T6",
        _APPROVAL,
        "if not 0 < ends_ns - begins_ns <= VALIDITY_S_MAX * _SECOND_NS:",
        f"{_ATTACK}[valid for a second too long]",
    ),
    Switch(
        "a serial that is passed does not come again",
        "T6",
        _PROOF,
        "if serial <= active_serial:",
        f"{_ATTACK}[replay: approval 1 again after 3]",
    ),
    Switch(
        "an approval is of one artifact",
        "T6",
        _PROOF,
        "if said[1] != wanted:",
        f"{_ATTACK}[downgrade: artifact 3 with the approval of 6]",
    ),
    Switch(
        "an approval is of one serial",
        "T6",
        _PROOF,
        "if said[2] != serial:",
        f"{_ATTACK}[replay: approval 1 as number 7]",
    ),
    Switch(
        "a rollback goes where the approval says",
        "T6",
        "server/security/rollback_order.py",
        "if order.digest != approved.fallback_digest:",
        f"{_ATTACK}[rollback to what was never approved]",
    ),
    Switch(
        "the first trust set is pinned",
        "T5",
        _TRUST,
        "if before is None and link.fingerprint != pin:",
        f"{_ATTACK}[trust set: another first set]",
    ),
    Switch(
        "the threshold of roots signs a trust set",
        "T5",
        _TRUST,
        "if len(envelope.signatures) < signers.statement.root_threshold:",
        f"{_ATTACK}[trust set: a successor that one root signed]",
    ),
    Switch(
        "a public key stands in a trust set once",
        "T5",
        _TRUST,
        "_refuse_repeated(Counter(key.keyid for key in statement.keys), TrustSetKeyTwiceError)",
        f"{_ATTACK}[signed trust set: one key for two people]",
        "pass",
    ),
    Switch(
        "a key for which anybody can sign is refused",
        "T5",
        _TRUST,
        "if y in _SMALL_ORDER or y >= _FIELD_ORDER:",
        f"{_ATTACK}[signed trust set: a key of small order]",
    ),
    Switch(
        "a trust set never goes back",
        "T6",
        "server/security/trust_files.py",
        "    if not _is_newer(_read_seen(keys_dir), version, fingerprint):\n        return\n",
        f"{_ATTACK}[trust set: back by one]",
        "    return\n",
    ),
)

ARTIFACTS: Final = (
    Switch(
        "the manifest is the signed one",
        "T7",
        "server/loaders/release.py",
        "if digest != statement.manifest_sha256:",
        f"{_ATTACK}[bundle: release of another manifest]",
    ),
    Switch(
        "each file is the one that the manifest names",
        "T7",
        "server/loaders/manifest.py",
        "if len(content) != entry.bytes or sha256(content).hexdigest() != entry.sha256:",
        f"{_ATTACK}[bundle: model.onnx of a newer one]",
    ),
    Switch(
        "weights are finite",
        "T8",
        "server/loaders/onnx_structure.py",
        '_require(all(map(math.isfinite, attribute.floats)), f"{name} is not finite")',
        "tests/loaders/test_onnx_allow_list.py::test_lower_when_linear_breaks_a_rule_then_refused",
        "pass",
    ),
    Switch(
        "operators are of one domain",
        "T8",
        "server/loaders/onnx_structure.py",
        '_require(node.domain == _ML_DOMAIN, "a node is not of ai.onnx.ml")',
        "tests/loaders/test_onnx_allow_list.py"
        "::test_lower_when_chain_is_broken_then_refused[domain-not of ai.onnx.ml]",
        "pass",
    ),
    Switch(
        "a trial run makes no system calls but to compute",
        "T8",
        "server/loaders/isolation.py",
        "is_loaded = is_complete and library.seccomp_load(context) == 0",
        "tests/loaders/test_isolation.py"
        "::test_what_is_not_computing_is_refused[subprocess.run(['true'])]",
        "is_loaded = is_complete",
    ),
    Switch(
        "a trial run has little memory",
        "T8",
        "server/loaders/canary.py",
        "        resource.RLIMIT_AS: ADDRESS_SPACE_BYTES_MAX,\n",
        "tests/loaders/test_isolation.py"
        "::test_a_crash_and_a_flood_of_memory_end_the_child_alone[bytearray(2 << 30)-1]",
        "",
    ),
    Switch(
        "slippage does not fall as history worsens",
        "T9",
        "server/loaders/plausibility.py",
        '_require(not _falls(path if rises else path[:, ::-1]), f"slippage {direction}")',
        "tests/loaders/test_plausibility.py"
        "::test_a_released_model_that_doubles_for_one_symbol_is_refused",
        "_ = direction",
    ),
    Switch(
        "an engine takes the policy that was signed",
        "T11",
        "server/loaders/policy_loader.py",
        "if rows != activation.rows:",
        "tests/loaders/test_policy_loader.py"
        "::test_a_policy_whose_row_is_not_the_signed_one_is_refused",
    ),
    Switch(
        "an engine remembers which serials are passed",
        "T6",
        "server/loaders/proof_judge.py",
        "active_serial=max(active_serial, self._newest_passed(activation)),",
        "tests/loaders/test_policy_loader.py"
        "::test_an_earlier_approval_does_not_bring_its_policy_back",
        "active_serial=active_serial,",
    ),
)

MODELS: Final = (
    Switch(
        "what is approved is what was proposed",
        "T5",
        _SERVICE,
        'if payload_of(envelope) != bytes(proposal["statement"]):',
        f"{_MODELS}test_signatures_that_prove_nothing_are_refused",
    ),
    Switch(
        "a proposal becomes stale",
        "T6",
        _SERVICE,
        "if await self._approvals.is_stale(change.database, proposal):",
        f"{_MODELS}test_a_proposal_is_stale_once_another_version_was_activated",
    ),
    Switch(
        "control takes no signature of the author",
        "T5",
        _SERVICE,
        "if approver.keyid == author.keyid or approver.person == author.person:",
        "tests/services/test_model_register.py"
        "::test_an_author_does_not_approve_even_with_another_key",
    ),
    Switch(
        "a version follows its lifecycle",
        "T6",
        "server/lifecycle.py",
        "after = target if target in MOVES.get(status, ()) else None",
        f"{_MODELS}test_moves_follow_the_lifecycle_and_leave_status_before_and_after",
        "after = target",
    ),
)
