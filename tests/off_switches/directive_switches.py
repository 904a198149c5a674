"""Off-switches of directives and of kills on the decision port: in Python, and in compiled code."""

from typing import Final

from tests.off_switches.switch import Switch

_DIRECTIVES: Final = "tests/services/test_directives.py::"
_KILLS: Final = "tests/services/test_kill_calls.py::"
_ACCESS: Final = "server/hotpath/lane/access.py"
_ACKNOWLEDGE: Final = "server/hotpath/wire/acknowledge.py"
_TURN: Final = "server/hotpath/lane/turn.py"
_WATCH: Final = "server/hotpath/lane/directives.py"

DIRECTIVES_COMPILED: Final = (
    Switch(
        "a watch hears of the caller's own accounts alone",
        "T9",
        _WATCH,
        "    return may_see_nb(wire, account)\n",
        f"{_DIRECTIVES}test_a_watch_hears_of_the_callers_own_accounts_alone[compiled]",
        "    return True\n",
    ),
    Switch(
        "a watch ends when its caller is revoked",
        "T9",
        _WATCH,
        "    elif not may_go_on_nb(lane, call):\n        return\n",
        f"{_DIRECTIVES}test_a_watch_of_an_identity_that_is_frozen_meanwhile_hears_no_more[compiled]",
        "",
    ),
    Switch(
        "a directive of another's account cannot be acknowledged",
        "T9",
        _ACKNOWLEDGE,
        " and may_use_nb(wire, at, i64(0)):",
        f"{_DIRECTIVES}test_a_foreign_directive_is_not_found_like_one_that_is_not_there[compiled]",
        ":",
    ),
    Switch(
        "the first outcome of a directive stands",
        "T9",
        _ACKNOWLEDGE,
        "elif event.succeeded != success:",
        "tests/hotpath/wire/test_wire_directives.py::"
        "test_saying_it_again_is_answered_with_what_was_said_first",
        "elif event.event_id < 0:",
    ),
    Switch(
        "no rate stops a kill",
        "T10",
        _ACCESS,
        "call.method not in (METHOD_DECIDE_STREAM, METHOD_KILL)",
        f"{_KILLS}test_no_rate_stops_a_kill[compiled]",
        "call.method not in (METHOD_DECIDE_STREAM, METHOD_DECIDE_STREAM)",
    ),
    Switch(
        "a kill comes before every decision that waits",
        "T10",
        _TURN,
        "is_urgent = lane.queue_first[QUEUE_URGENT] != 0 and lane.was_urgent == 0",
        f"{_KILLS}test_a_kill_overtakes_every_decision_that_waits",
        "is_urgent = lane.queue_first[QUEUE_URGENT] != 0 and lane.was_urgent == 2",
    ),
    Switch(
        "a decision knows who its caller is",
        "T9",
        "server/hotpath/wire/decision.py",
        "    copy_caller_nb(wire, state.request + CALLER_AT)\n",
        f"{_KILLS}test_a_kill_of_a_connection_stops_that_caller_alone[compiled-Decide]",
        "",
    ),
)

_CALLS: Final = "server/services/directive_calls.py"

DIRECTIVES: Final = (
    Switch(
        "a watch of the grpcio port hears of the caller's own accounts alone",
        "T9",
        _CALLS,
        "if self._calls.may_see(watch.grant, account.ctypes.data):",
        f"{_DIRECTIVES}test_a_watch_hears_of_the_callers_own_accounts_alone[grpcio]",
        "if True:",
    ),
    Switch(
        "a watch of the grpcio port asks whose account is named",
        "T9",
        _CALLS,
        "if not self._calls.may_use_alone(grant, account.ctypes.data):",
        f"{_DIRECTIVES}test_a_watch_hears_of_the_callers_own_accounts_alone[grpcio]",
        said="Empty",  # the stream that should end stays open
    ),
    Switch(
        "the grpcio port lets nobody acknowledge another's directive",
        "T9",
        _CALLS,
        "return self._calls.may_use(account.ctypes.data)",
        f"{_DIRECTIVES}test_a_foreign_directive_is_not_found_like_one_that_is_not_there[grpcio]",
        "return True",
    ),
    Switch(
        "no rate stops a kill on the grpcio port",
        "T10",
        "server/services/decision.py",
        "self._access.find_refusal(grant, METHOD_KILL, calls=0)",
        f"{_KILLS}test_no_rate_stops_a_kill[grpcio]",
        "self._access.find_refusal(grant, METHOD_KILL)",
        said="InactiveRpcError",
    ),
)
