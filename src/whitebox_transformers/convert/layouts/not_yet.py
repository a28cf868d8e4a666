"""Layouts that are known by sight and cannot be converted yet: name -> how to tell.

When one gets its own file in this folder, its line here goes.
"""

from __future__ import annotations

from collections.abc import Callable, Set

NOT_YET: dict[str, Callable[[Set[str]], bool]] = {
    "CRATE-alpha CLIPA (image and text towers)": lambda keys: any(
        key.endswith(".mlp.c_fc")
        for key in keys  # a GPT-2 has .mlp.c_fc.weight
    ),
    "folder of this package (load it with from_pretrained)": lambda keys: any(
        key.endswith("compress.mssa.subspaces.weight") for key in keys
    ),
}
