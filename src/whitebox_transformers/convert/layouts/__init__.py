"""The layouts that `convert` knows; a new one is a file in this folder and a line here."""

from __future__ import annotations

from whitebox_transformers.convert.layouts.crate import Crate
from whitebox_transformers.convert.layouts.crate_alpha import CrateAlpha
from whitebox_transformers.convert.layouts.crate_bert import CrateBert
from whitebox_transformers.convert.layouts.crate_gpt import CrateGPT
from whitebox_transformers.convert.layouts.crate_mae import CrateMAE
from whitebox_transformers.convert.layouts.layout import Layout
from whitebox_transformers.convert.layouts.not_yet import NOT_YET
from whitebox_transformers.convert.reading import Checkpoint
from whitebox_transformers.errors import UserError

LAYOUTS: tuple[Layout, ...] = (Crate(), CrateAlpha(), CrateMAE(), CrateBert(), CrateGPT())


def recognise(checkpoint: Checkpoint) -> Layout:
    """The layout of a file.

    Raises:
        UserError: A layout that cannot be converted yet, none, or more than one.
    """
    keys = checkpoint.tensors.keys()
    for name, matches in NOT_YET.items():
        if matches(keys):
            raise UserError(f"{checkpoint.path} is a {name}; wbt convert reads {_known()} so far")
    fitting = [layout for layout in LAYOUTS if layout.recognises(keys)]
    if len(fitting) != 1:
        found = " and ".join(layout.name for layout in fitting) or "nothing known"
        first = ", ".join(sorted(keys)[:5])
        raise UserError(
            f"{checkpoint.path} looks like {found}; expected one of {_known()}; "
            f"its weights begin with: {first}"
        )
    return fitting[0]


def _known() -> str:
    return ", ".join(layout.name for layout in LAYOUTS)


__all__ = ["LAYOUTS", "Layout", "recognise"]
