"""The name of a cache: ``cache`` since transformers 5.24, ``past_key_values`` before.

The family's own code says ``cache``. What Hugging Face calls, calls it with or reads by a name goes
by the name of the version that is installed; models take both.
"""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from transformers import Cache
from transformers.modeling_outputs import BaseModelOutputWithPast

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_NEW, _OLD = "cache", "past_key_values"

CACHE = _NEW if _NEW in {field.name for field in fields(BaseModelOutputWithPast)} else _OLD
"""The argument and the field of outputs that hold a cache in the installed transformers."""


def named(cache: Cache | None) -> dict[str, Any]:
    """A cache as keyword argument or field of the installed transformers."""
    return {CACHE: cache}


def either_cache_name(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Let a function of ``cache`` take it as ``past_key_values`` too.

    Raises:
        ValueError: By the function, when it is given a cache by each of the names.
    """

    @wraps(function)
    def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        old = kwargs.pop(_OLD, None)
        if old is not None:
            if kwargs.get(_NEW) is not None:
                raise ValueError(f"{_NEW} and {_OLD} are one argument; pass one of them.")
            kwargs[_NEW] = old
        return function(*args, **kwargs)

    return called


__all__ = ["CACHE", "either_cache_name", "named"]
