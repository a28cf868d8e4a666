"""Wrong input ends a command with one line and status 2; a defect keeps its traceback."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

WRONG_INPUT = 2
INTERRUPTED = 130


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
            raise typer.Exit(WRONG_INPUT) from error


def _mendable(error: Exception) -> str | None:
    if "torchvision" in str(error) and not isinstance(error, ValueError):
        return (
            f"torchvision cannot be loaded ({_first_line(error)}); `wbt doctor` says how to mend it"
        )
    # The library is loaded by now, or it is what failed to load: never import it here.
    for module, name in (("errors", "UserError"), ("extras", "MissingExtra")):
        loaded = sys.modules.get(f"whitebox_transformers.{module}")
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return " ".join(str(error).split())
    return None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _say(line: str) -> None:
    typer.echo(f"wbt: {line}", err=True)
