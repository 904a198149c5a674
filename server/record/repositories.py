"""The repositories that services of limits work with, so that a test can give them others."""

from dataclasses import dataclass, field

from server.record.circuit_breakers import CircuitBreakerRepository
from server.record.decisions import DecisionRepository
from server.record.reference import AccountRepository
from server.record.risk_configurations import RiskConfigurationRepository
from server.record.strategies import StrategyRepository


@dataclass(frozen=True, slots=True)
class Repositories:
    """One of each."""

    accounts: AccountRepository = field(default_factory=AccountRepository)
    configurations: RiskConfigurationRepository = field(default_factory=RiskConfigurationRepository)
    breakers: CircuitBreakerRepository = field(default_factory=CircuitBreakerRepository)
    strategies: StrategyRepository = field(default_factory=StrategyRepository)
    decisions: DecisionRepository = field(default_factory=DecisionRepository)
