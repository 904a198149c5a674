"""Off-switches of circuit breakers and of the conditions that people write for them."""

from typing import Final

from tests.off_switches.switch import Switch

_BREAKERS: Final = "tests/hotpath/test_breakers.py::"
_DECISIONS: Final = "tests/hotpath/test_breakers_in_decisions.py::"
_COMPILING: Final = "tests/conditions/test_compiling.py::"
_NUMBERS: Final = "tests/test_change_numbers.py::"
_ENTRIES: Final = "tests/journal/test_event_entries.py::"
_CONDITIONS: Final = "server/conditions/compiling.py"
_CHECKS: Final = "server/hotpath/breaker_checks.py"
_STATES: Final = "server/hotpath/breakers.py"

BREAKERS: Final = (
    Switch(
        "a tripped breaker denies new risk",
        "T9",
        _CHECKS,
        "        passed &= lets_pass\n",
        f"{_BREAKERS}test_a_drawdown_of_twelve_percent_trips_a_limit_of_ten_percent_once",
        "",
    ),
    Switch(
        "a half open breaker reduces",
        "T9",
        _CHECKS,
        "breaker.judged_state == HALF_OPEN and breaker.action != ACTION_ALERT",
        f"{_BREAKERS}test_a_half_open_breaker_lets_half_through_and_then_closes",
        "False",
    ),
    Switch(
        "what cannot be judged trips",
        "T9",
        "server/hotpath/breaker_conditions.py",
        "return run_program_nb(state, breaker) != 0.0",
        f"{_DECISIONS}test_an_expression_that_cannot_be_judged_holds",
        "return run_program_nb(state, breaker) > 0.0",
    ),
    Switch(
        "a locked breaker stays so",
        "T9",
        _STATES,
        "    if breaker.state == LOCKED:\n        return\n",
        f"{_BREAKERS}test_the_third_trip_locks_until_a_person_resets",
        "    if breaker.state == LOCKED:\n        breaker.state = TRIPPED\n",
    ),
    Switch(
        "a dry run trips nothing",
        "T9",
        _CHECKS,
        "    dry_run = request.dry_run != 0\n",
        f"{_DECISIONS}test_a_dry_run_finds_what_a_decision_would_and_changes_nothing",
        "    dry_run = False\n",
    ),
    Switch(
        "one trip makes one event",
        "T9",
        _STATES,
        "if breaker.state in (CLOSED, HALF_OPEN):\n            trip_breaker_nb(",
        f"{_BREAKERS}test_a_drawdown_of_twelve_percent_trips_a_limit_of_ten_percent_once",
        "if True:\n            trip_breaker_nb(",
    ),
    Switch(
        "events stand in the journal",
        "T7",
        "server/hotpath/change_frame.py",
        "            append_events_nb(state, journal)\n",
        f"{_ENTRIES}test_a_trip_stands_behind_the_change_that_made_it",
        "",
    ),
    Switch(
        "a replay compares events",
        "T7",
        "server/hotpath/journal/replay.py",
        "return follows and same_event_nb(state, event_id, address + ENTRY_BYTES)",
        f"{_ENTRIES}test_an_event_that_was_changed_in_the_journal_is_found",
        "return True",
        "ValueError",
    ),
    Switch(
        "a condition is short",
        "T10",
        _CONDITIONS,
        'if len(text) > TEXT_BYTES_MAX or len(text.encode("utf-8", "replace")) > TEXT_BYTES_MAX:',
        f"{_COMPILING}test_each_mistake_is_named",
    ),
    Switch(
        "a condition has only known characters",
        "T10",
        _CONDITIONS,
        "    if foreign:\n",
        f"{_COMPILING}test_each_mistake_is_named",
        "    if False:\n",
    ),
    Switch(
        "a program fits its steps",
        "T10",
        _CONDITIONS,
        "        if len(self.program) > PROGRAM_STEPS_MAX:\n",
        f"{_COMPILING}test_each_mistake_is_named",
        "        if False:\n",
    ),
    Switch(
        "a program stays on its stack",
        "T10",
        "server/change_numbers.py",
        "        if depth < TAKEN[operation]:\n",
        f"{_NUMBERS}test_a_program_that_would_leave_its_stack_or_tables_is_refused",
        "        if False:\n",
    ),
    Switch(
        "a program over the state reads no request",
        "T10",
        "server/change_numbers.py",
        "    if number >= FIRST_OVER_REQUEST and not over_request:\n",
        f"{_NUMBERS}test_a_program_that_would_leave_its_stack_or_tables_is_refused",
        "    if False:\n",
    ),
)
