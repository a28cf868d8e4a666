"""The mathematics of the paper as statements that are tried with numbers.

Every statement is a function; dimensions, seeds and precisions are its arguments::

    from whitebox_transformers.theory import STATEMENTS, verify
    from whitebox_transformers.theory.statements.neumann_series import neumann_series_converges

    print(neumann_series_converges(eps=0.5, tokens=200).judgement)

They try the library's own operators and rates, never copies of them.
"""

from .measurement import Case, Measurement
from .registry import STATEMENTS, chosen, verify
from .statement import Result, Statement, Verdict

__all__ = [
    "STATEMENTS",
    "Case",
    "Measurement",
    "Result",
    "Statement",
    "Verdict",
    "chosen",
    "verify",
]
