"""Wrong input ends a command with one line and status 2; a defect keeps its traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

WRONG_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143


class OneLineErrors(TyperGroup):
    """Command group that turns errors a person can mend into one line on standard error."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (ValueError, ImportError, RuntimeError) as error:
            line = _mendable(error)
            if line is None:
                raise
            _say(line)
            raise typer.Exit(TERMINATED if _is_termination(error) else WRONG_INPUT) from error


def _is_termination(error: Exception) -> bool:
    return type(error).__name__ == "Terminated"


def _mendable(error: Exception) -> str | None:
    # The library is loaded by now, or it is what failed to load: never import it here.
    for module, name in (("errors", "UserError"), ("extras", "MissingExtra")):
        loaded = sys.modules.get(f"whitebox_transformers.{module}")
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return " ".join(str(error).split())
    for cause in _causes(error):
        if "torchvision" in str(cause) and isinstance(cause, ImportError | RuntimeError):
            reason = (str(cause).splitlines() or [type(cause).__name__])[0]
            return f"torchvision cannot be loaded ({reason}); `wbt doctor` says how to mend it"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what led to it: transformers wraps the failure of an import in its own."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _say(line: str) -> None:
    # Of several processes that train together, the one whose line this is.
    process = f" (process {os.environ['RANK']})" if "RANK" in os.environ else ""
    typer.echo(f"wbt{process}: {line}", err=True)
