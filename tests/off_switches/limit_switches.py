"""Off-switches of what people decide about limits: forms, services, record."""

from typing import Final

from tests.off_switches.switch import Switch

_FORMS: Final = "tests/forms/test_order_limits.py::"
_RECORD: Final = "tests/record/test_limit_repositories.py::"
_SERVICES: Final = "tests/services/test_limits_in_memory.py::"

LIMITS: Final = (
    Switch(
        "a limit of 0 is refused",
        "T2",
        "server/forms/order_limits.py",
        "path=path, above_low=True)",
        f"{_FORMS}test_a_limit_of_0_or_out_of_range_is_refused_by_its_field",
        "path=path)",
    ),
    Switch(
        "a window needs its limit",
        "T2",
        "server/forms/order_limits.py",
        'if found[f"{kind}_limit"] is None and found[window] is not None:',
        f"{_FORMS}test_a_window_without_its_limit_is_refused",
    ),
    Switch(
        "trading hours do not overlap",
        "T2",
        "server/forms/trading_hours.py",
        "if is_same_day and after.opens_minute < before.closes_minute:",
        "tests/forms/test_instrument_controls.py::"
        "test_hours_that_overlap_or_are_too_many_are_refused",
    ),
    Switch(
        "an expression is checked before it is stored",
        "T2",
        "server/forms/breaker.py",
        "compile_condition(text)",
        "tests/forms/test_breaker_form.py::test_a_bad_expression_is_refused_with_what_is_wrong",
        "pass",
    ),
    Switch(
        "what the archive does not know is counted apart",
        "T13",
        "server/services/dry_run.py",
        "is_unknown = math.isnan(truth)",
        "tests/services/test_dry_run.py::test_what_held_and_what_is_unknown_are_counted_apart",
        "is_unknown = False",
    ),
    Switch(
        "a person with a name lets a strategy go on",
        "T13",
        "server/services/risk_config.py",
        "if current_call().caller.is_insecure and not note.actor:",
        f"{_SERVICES}test_a_strategy_is_enabled_by_a_person_with_a_name_and_for_a_known_account",
    ),
    Switch(
        "ticks and lot steps stay while somebody holds an instrument",
        "T2",
        "server/services/reference.py",
        "if account_id is not None:",
        "tests/services/test_limits_service.py::"
        "test_ticks_and_lot_steps_stay_while_somebody_holds_the_instrument",
    ),
    Switch(
        "one configuration of an account is active",
        "T2",
        "server/record/migrations/0001_core.sql",
        "CREATE UNIQUE INDEX risk_configuration_one_active_per_account",
        f"{_RECORD}test_a_second_of_the_same_id_and_a_second_active_one_are_refused",
        "CREATE INDEX risk_configuration_one_active_per_account",
    ),
    Switch(
        "an update of what was changed meanwhile is refused",
        "T2",
        "server/record/risk_configurations.py",
        "if expected_version is not None and expected_version != version:",
        f"{_RECORD}test_an_update_raises_the_version_and_a_stale_one_is_a_conflict",
    ),
)
