"""Everything that an attacker would try, each met by the one error that names it."""

import pytest

from server import statement_errors
from server.errors import RiskgateError
from server.statement_errors import StatementError
from server.trust_errors import TrustSetInvalidError
from tests.attacks import (
    approvals,
    bundles,
    envelopes,
    proofs,
    stores,
    trust_contents,
    trust_folders,
    trust_sets,
)
from tests.attacks.cast import Attack, activation

ATTACKS = [
    *envelopes.ATTACKS,
    *approvals.ATTACKS,
    *proofs.ATTACKS,
    *trust_sets.ATTACKS,
    *trust_contents.ATTACKS,
    *trust_folders.ATTACKS,
    *bundles.ATTACKS,
    *stores.ATTACKS,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])
def test_an_attack_is_refused_by_the_error_that_names_it(attack: Attack) -> None:
    with pytest.raises(RiskgateError) as caught:
        attack.attempt()
    assert type(caught.value) is attack.error


def test_there_are_many_attacks_and_no_two_of_a_name() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(set(names)) == len(names) >= 120


def test_every_reason_to_refuse_a_statement_is_met_by_an_attack() -> None:
    met = {attack.error for attack in ATTACKS}
    reasons = {
        value
        for value in vars(statement_errors).values()
        if isinstance(value, type) and issubclass(value, (StatementError, TrustSetInvalidError))
    }
    assert reasons - met == {StatementError, TrustSetInvalidError}


@pytest.mark.parametrize("signers", approvals.ACCEPTED, ids=" and ".join)
def test_every_sound_combination_of_approvers_is_accepted(signers: tuple[str, ...]) -> None:
    envelopes.verify(activation(*signers))


def test_what_the_attacks_start_from_is_accepted() -> None:
    envelopes.verify(envelopes.GOOD)
    assert len(proofs.accepted()) == proofs.HISTORY + 4
    for count in range(1, 4):
        assert trust_sets.load(*trust_sets.CHAIN[:count])
    for name in ("own", "newer", "foreign"):
        bundles.open_(bundles.bundle(name))


def test_a_directory_that_is_exchanged_while_it_is_read_changes_nothing() -> None:
    read = stores.read_changed(stores.exchange_directory, during=True)
    assert read == bundles.bundle("own")
