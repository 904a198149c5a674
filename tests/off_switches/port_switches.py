"""Off-switches of who may do what: both ports, certificates, second factor, sealed fields."""

from typing import Final

from tests.off_switches.switch import Switch

_ACCESS: Final = "tests/services/test_access.py::"
_CALLS: Final = "tests/services/test_access_calls.py::"
_MATRIX: Final = (
    "tests/services/test_rights_matrix.py"
    "::test_every_cell_of_the_rights_matrix_is_as_the_contract_says"
)
_CODES: Final = "tests/security/test_one_time_codes.py::"
_GRANTS: Final = "tests/security/test_grants.py::"
_PKI: Final = "tests/security/test_pki.py::"
_CHECKS: Final = "server/services/access_checks.py"
_PEER: Final = "server/services/peer.py"

CONTROL: Final = (
    Switch(
        "gRPC agrees on TLS 1.3 only",
        "T1",
        "server/__init__.py",
        'os.environ["GRPC_SSL_CIPHER_SUITES"] = "ECDHE-PSK-AES128-CBC-SHA"',
        "tests/services/test_access_handshakes.py"
        "::test_a_server_process_shakes_hands_over_nothing_but_tls_13",
        "_ = os",
    ),
    Switch(
        "a call over an older TLS is refused",
        "T1",
        _PEER,
        'if list(facts.get("ssl_tls_version", ())) != [_TLS_VERSION]:',
        "tests/services/test_access_handshakes.py"
        "::test_a_call_over_tls_12_is_refused_even_where_the_handshake_lets_it_pass",
    ),
    Switch(
        "a revoked certificate ends its live connection",
        "T3",
        _PEER,
        "if self._revoked.holds(peer.serial):",
        f"{_ACCESS}test_a_certificate_that_is_revoked_ends_its_live_connection_within_a_second",
    ),
    Switch(
        "an authority signs the list of revoked certificates",
        "T3",
        "server/security/revoked_certificates.py",
        "if not any(crl.is_signature_valid(key) for key in keys):",
        "tests/security/test_revoked_certificates.py"
        "::test_a_list_that_is_spoilt_leaves_the_last_good_one_in_force[unsigned]",
    ),
    Switch(
        "a frozen identity loses its live connection",
        "T3",
        _CHECKS,
        "if entry is not None and not entry.is_active:",
        f"{_ACCESS}test_an_identity_that_is_stopped_loses_its_live_connection_within_a_second"
        "[frozen]",
    ),
    Switch(
        "a method is for its roles",
        "T2",
        _CHECKS,
        "if visit.caller.role not in visit.right.roles:",
        "tests/services/test_audit_service.py::test_a_trader_may_not_read_the_log",
    ),
    Switch(
        "a method is for its groups",
        "T2",
        _CHECKS,
        "if visit.right.groups and not visit.caller.groups & set(visit.right.groups):",
        _MATRIX,
    ),
    Switch(
        "an account is for its trader",
        "T2",
        _CHECKS,
        "visit.caller.require_account(account_id)",
        _MATRIX,
        "pass",
    ),
    Switch(
        "a method without a right is for nobody",
        "T2",
        _CHECKS,
        "        if right is None:\n            raise MethodDeniedError\n"
        "        if not visit.caller.is_insecure:\n            _require_right(visit)\n",
        f"{_ACCESS}test_a_method_that_declares_no_right_is_for_nobody",
        "        if right is not None and not visit.caller.is_insecure:\n"
        "            _require_right(visit)\n",
    ),
    Switch(
        "a change is justified",
        "T13",
        _CHECKS,
        "if right.justification and not visit.reason.strip():",
        "tests/services/test_rights_matrix.py"
        "::test_every_change_that_must_be_justified_is_refused_without_a_reason",
    ),
    Switch(
        "a change of rights needs a second factor",
        "T15",
        _CHECKS,
        "if right.second_factor and not visit.caller.is_insecure:",
        f"{_CALLS}test_a_change_of_rights_needs_a_code_that_works_once",
    ),
    Switch(
        "an identity has a rate",
        "T10",
        _CHECKS,
        "            self._take(visit)\n            self._enter(visit)\n",
        f"{_CALLS}test_calls_beyond_the_rate_are_refused_and_told_when_to_come_again",
        "            self._enter(visit)\n",
    ),
    Switch(
        "an identity has so many calls at once",
        "T10",
        _CHECKS,
        "if self._running[visit.caller.uri] >= CALLS_AT_ONCE_MAX:",
        "tests/services/test_access_connections.py::test_nobody_takes_all_places_with_streams",
    ),
    Switch(
        "a denied call leaves a row",
        "T13",
        "server/services/access.py",
        "await self._refused.record(visit.call, error, reason=visit.reason)",
        f"{_CALLS}test_every_denied_call_and_every_failed_change_leaves_one_row",
        "pass",
    ),
)

DECISIONS: Final = (
    Switch(
        "a listed certificate is barred on the decision port",
        "T3",
        "server/security/grants.py",
        "is_revoked = self._revoked is not None and self._revoked.holds(serial)",
        f"{_GRANTS}test_a_listed_certificate_is_barred_and_let_in_again_when_it_is_not",
        "is_revoked = False",
    ),
    Switch(
        "a frozen identity decides nothing",
        "T3",
        "server/security/grants.py",
        "is_revoked=known.status not in _ACTIVE,",
        f"{_GRANTS}test_only_an_active_identity_may_call",
        "is_revoked=False,",
    ),
    Switch(
        "only traders decide",
        "T2",
        "server/security/grants.py",
        "elif name.role in right.roles and (not right.groups or name.groups & {*right.groups}):",
        f"{_GRANTS}test_only_traders_decide",
        "else:",
    ),
    Switch(
        "a trader decides for its own accounts",
        "T2",
        "server/security/grants.py",
        "accounts=known.accounts if is_trader and not known.every_account else None,",
        "tests/services/test_decision_access.py::test_a_trader_without_an_entry_may_use_no_account",
        "accounts=None,",
    ),
    Switch(
        "what an engine denies is spooled",
        "T13",
        "server/security/grant_watch.py",
        "self._spool.write(self._grants.denials())",
        "tests/security/test_denial_spool.py::test_a_watch_that_ends_writes_what_is_left",
        "pass",
    ),
    Switch(
        "a certificate of a server is none of a client",
        "T1",
        "server/security/peer_certificate.py",
        "if not is_for_clients:",
        "tests/security/test_peer_certificate.py"
        "::test_judge_when_clients_are_not_among_the_usages_then_refuses",
    ),
)

SECRETS: Final = (
    Switch(
        "plaintext stays on this machine",
        "T1",
        "server/settings.py",
        'settings.insecure_loopback and not stays_here(getattr(settings, name) or "localhost:0")',
        "tests/test_settings.py::test_load_when_plaintext_would_leave_this_machine_then_refuses",
        "False",
    ),
    Switch(
        "a client sends nothing in plaintext elsewhere",
        "T1",
        "riskgate/channel.py",
        'if not (host == "localhost" or _is_loopback(host)):',
        "tests/client/test_channel.py::test_plaintext_when_on_another_machine_then_it_is_refused",
    ),
    Switch(
        "keys of certificates are their owner's",
        "T17",
        "server/security/pki.py",
        "_write(path, pem, 0o600)",
        f"{_PKI}test_keys_can_be_read_by_their_owner_only",
        "_write(path, pem, 0o644)",
    ),
    Switch(
        "a client's certificate signs no other",
        "T1",
        "server/security/certificate_building.py",
        "x509.BasicConstraints(ca=False, path_length=None)",
        f"{_PKI}test_a_client_certificate_cannot_sign_another",
        "x509.BasicConstraints(ca=True, path_length=None)",
    ),
    Switch(
        "Redis wants a password",
        "T11",
        "server/embedded/redis.py",
        "user default off nopass -@all",
        "tests/embedded/test_security.py"
        "::test_redis_when_the_password_is_wrong_or_missing_then_refuses",
        "user default on nopass ~* +@all",
    ),
    Switch(
        "a one-time code is right once",
        "T15",
        "server/security/one_time_codes.py",
        "if step <= last_step:",
        f"{_CODES}test_a_right_code_uses_up_its_step_and_all_before",
    ),
    Switch(
        "five wrong codes lock",
        "T15",
        "server/security/one_time_codes.py",
        "if wrong_codes >= WRONG_CODES_MAX:",
        f"{_CODES}test_the_fifth_wrong_code_locks_and_a_right_one_no_longer_helps",
    ),
    Switch(
        "an encrypted value is bound to its row",
        "T17",
        "server/security/field_encryption.py",
        "json.dumps(place, ensure_ascii=True).encode()",
        "tests/security/test_field_encryption.py"
        "::test_a_value_in_another_row_column_or_table_is_refused",
        "json.dumps([]).encode()",
    ),
    Switch(
        "a key file that others can read is refused",
        "T17",
        "server/security/field_encryption.py",
        "if os.fstat(file.fileno()).st_mode & _OTHERS:",
        "tests/security/test_field_encryption.py"
        "::test_a_key_file_that_is_not_right_is_refused_without_naming_a_key",
    ),
    Switch(
        "a caller is not told what failed inside",
        "T19",
        "server/services/refusal.py",
        '    log.error("a call failed", exc_info=error)\n    return INTERNAL\n',
        "tests/services/test_decision_port.py"
        "::test_decide_when_the_engine_fails_then_the_caller_learns_nothing_of_it",
        "    return INTERNAL._replace(message=repr(error))\n",
    ),
    Switch(
        "a caller of control is not told either",
        "T19",
        "server/services/interceptors.py",
        'code, text, field = "INTERNAL", RiskgateError.public_text, ""',
        "tests/services/test_interceptors.py"
        "::test_call_when_postgres_breaks_inside_then_unavailable_or_internal_without_its_words",
        'code, text, field = "INTERNAL", str(error), ""',
    ),
)
