"""Off-switches of the kill switch: its latch, its ways in, and who may let orders go again."""

from typing import Final

from tests.off_switches.switch import Switch

_SERVICE: Final = "tests/services/test_kill_service.py::"
_PORT: Final = "tests/test_kill_port.py::"

KILL_SWITCH: Final = (
    Switch(
        "the record of a kill is never turned back",
        "T12",
        "server/record/migrations/0010_kill_switch.sql",
        "CREATE TRIGGER kill_switch_latches BEFORE UPDATE OR DELETE ON riskgate.kill_switch\n"
        "    FOR EACH ROW EXECUTE",
        f"{_SERVICE}test_nothing_turns_the_record_of_a_kill_back",
        "CREATE TRIGGER kill_switch_latches BEFORE UPDATE OR DELETE ON riskgate.kill_switch\n"
        "    FOR EACH ROW WHEN (false) EXECUTE",
    ),
    Switch(
        "what is not killed cannot be re-armed",
        "T2",
        "server/services/kill.py",
        "if not known.stops(mode):",
        f"{_SERVICE}test_what_is_not_killed_cannot_be_rearmed_and_then_nothing_is",
    ),
    Switch(
        "a kill without a time holds, however slow the clock is",
        "T2",
        "server/forms/kill.py",
        "return max(now_ns, rearmed_at_ns + 1)",
        f"{_SERVICE}test_a_clock_that_is_slow_cannot_keep_a_kill_from_holding",
        "return now_ns",
    ),
    Switch(
        "a kill says why",
        "T13",
        "server/forms/kill.py",
        "if not note.reason.strip():",
        f"{_PORT}test_a_request_without_a_reason_is_refused_and_changes_nothing",
    ),
    Switch(
        "a kill is confirmed when it counts",
        "T2",
        "server/kill_port.py",
        "wait_for(lambda: self._engine.taken_changes >= number)",
        f"{_PORT}test_a_kill_before_the_engine_is_warm_waits_and_is_applied_first",
        "pass",
    ),
    Switch(
        "nobody else can put a socket in the place of the kill switch",
        "T17",
        "server/kill_port.py",
        "if stat.S_IMODE(status.st_mode) & 0o022:",
        f"{_PORT}test_a_folder_that_others_can_write_is_refused",
    ),
    Switch(
        "drills are for sandbox accounts",
        "T2",
        "server/services/drill.py",
        "if account is None or not account.sandbox:",
        f"{_SERVICE}test_a_drill_on_money_of_somebody_is_not_taken",
    ),
    Switch(
        "an engine that did not confirm makes a kill incomplete",
        "T2",
        "server/kill_calls.py",
        "return bool(engines) and all(each.confirmed for each in engines)",
        "tests/test_known_engines.py::"
        "test_a_kill_is_complete_when_every_engine_that_decides_has_confirmed",
        "return bool(engines)",
    ),
)
