"""Conditions of circuit breakers in CEL: checked text to a program for the engines.

Engines run programs (`server/hotpath/programs.py`) and never see the text. See docs/conditions.md.
"""

from server.conditions.compiling import Condition, compile_condition
from server.conditions.evaluating import evaluate, holds

__all__ = ["Condition", "compile_condition", "evaluate", "holds"]
