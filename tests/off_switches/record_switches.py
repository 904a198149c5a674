"""Off-switches of what is on record and in the feed: audit log, ledger, heads, Redis."""

from typing import Final

from tests.off_switches.switch import Switch

_TAMPERING: Final = "tests/record/test_audit_tampering.py::"
_LEDGER: Final = "tests/security/test_ledger_tree.py::"

AUDIT: Final = (
    Switch(
        "each row holds the hash of the one before",
        "T12",
        "server/record/audit.py",
        '"previous_hash": before,',
        "tests/record/test_audit.py::test_many_who_write_at_once_make_one_chain",
        '"previous_hash": bytes(32),',
        "AuditTamperedError: row 2 of the audit log does not follow the row before",
    ),
    Switch(
        "a row has the hash of what it says",
        "T12",
        "server/security/audit_rows.py",
        "if sha256(before + row.text).digest() != row.hash:",
        f"{_TAMPERING}test_rows_behind_the_newest_head_are_held_by_the_chain",
    ),
    Switch(
        "a row cannot be changed by accident",
        "T12",
        "server/record/migrations/0006_audit_chain.sql",
        "audit_log_append_only BEFORE UPDATE OR DELETE ON riskgate.audit_log\n"
        "    FOR EACH ROW EXECUTE",
        "tests/record/test_audit.py::test_a_row_cannot_be_changed_by_accident",
        "audit_log_append_only BEFORE UPDATE OR DELETE ON riskgate.audit_log\n"
        "    FOR EACH ROW WHEN (false) EXECUTE",
    ),
    Switch(
        "heads follow each other",
        "T12",
        "server/security/heads.py",
        "if (said.number, said.previous_sha256) != (number, link):",
        f"{_TAMPERING}test_heads_out_of_their_order_are_refused",
    ),
    Switch(
        "the witness alone signs heads",
        "T12",
        "server/security/sole_signer.py",
        "verify_all(envelope, {keyid: public.hex()})",
        f"{_TAMPERING}test_a_forged_head_is_refused",
        "pass",
    ),
    Switch(
        "a cut tail of the audit log shows",
        "T12",
        "server/security/audit_verification.py",
        "if count < covered:",
        f"{_TAMPERING}test_tampering_is_found_at_its_place",
    ),
    Switch(
        "rapid deployments are unusual",
        "T14",
        "server/anomaly_watch.py",
        'if said["outcome"] == DONE and is_deployment:',
        "tests/services/test_audit_service.py"
        "::test_rapid_deployments_and_denials_are_found_in_the_log[True]",
    ),
    Switch(
        "many reads are unusual",
        "T14",
        "server/anomaly_watch.py",
        "if right is not None and right.watch == rights_pb2.WATCH_BULK_READ:",
        "tests/services/test_audit_service.py"
        "::test_many_reads_are_reported_and_freeze_who_may_be_frozen",
        said="ValueError: not enough values to unpack",
    ),
)

LEDGER: Final = (
    Switch(
        "an entry of the ledger has its hash",
        "T12",
        "server/security/ledger_tree.py",
        "if entry.leaf_hash != hash_leaf(entry.content):",
        f"{_LEDGER}test_the_last_entry_is_named_even_before_a_head_was_signed",
        said="ValueError: not enough values to unpack",
    ),
    Switch(
        "a cut tail of the ledger shows",
        "T12",
        "server/security/ledger_tree.py",
        "        if head.entries > held:\n",
        f"{_LEDGER}test_a_cut_tail_is_named_by_the_newest_head",
        "        if head.entries > held:\n            continue\n        if False:\n",
        "ValueError: not enough values to unpack",
    ),
    Switch(
        "a ledger that was written anew shows",
        "T12",
        "server/security/ledger_tree.py",
        "if tree.root(head.entries) != head.root:",
        f"{_LEDGER}test_a_ledger_written_anew_is_named_between_the_heads_around_it",
        said="ValueError: not enough values to unpack",
    ),
)

FEED: Final = (
    Switch(
        "a change in Redis carries its seal",
        "T11",
        "server/security/feed_seal.py",
        "if not hmac.compare_digest(_mac(key, label, parts), tag[_KEYID_BYTES:]):",
        "tests/security/test_feed_seal.py::test_no_single_bit_of_a_sealed_change_can_be_turned",
    ),
    Switch(
        "an engine opens the seal of each change",
        "T11",
        "server/loaders/redis_state.py",
        "            self._seal.open(change)\n",
        "tests/services/test_hostile_redis.py::test_an_intruder_in_redis_changes_no_decision",
        "",
    ),
    Switch(
        "a load with anything old or hidden is refused",
        "T11",
        "server/loaders/completeness.py",
        "return self.is_settled and self._counted == self._version",
        "tests/loaders/test_completeness.py"
        "::test_a_hash_is_whole_when_each_entity_is_the_newest_and_not_otherwise",
        "return self.is_settled",
    ),
    Switch(
        "an epoch in Redis is sealed",
        "T11",
        "server/loaders/redis_epoch.py",
        'self._seal.check(bytes.fromhex(tag.decode("ascii")), EPOCH, self._key.encode(), number)',
        "tests/loaders/test_epoch_guard.py::test_an_epoch_that_is_not_sealed_is_nobodys_word",
        "_ = tag",
    ),
    Switch(
        "what an engine says of itself is sealed",
        "T11",
        "server/loaders/redis_replica.py",
        "self._seal.check(tag, REPLICA, field, said)",
        "tests/test_replica.py"
        "::test_what_is_not_sealed_or_stands_under_another_shard_is_passed_over",
        "_ = tag",
    ),
)
