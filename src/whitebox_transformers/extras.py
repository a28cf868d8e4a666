"""Optional dependencies, imported where they are used."""

import importlib
from types import ModuleType


class MissingExtra(ImportError):
    """An optional dependency is absent; the message names the extra that brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Import ``module`` or say which extra of this package installs it.

    Args:
        module: Dotted module name, e.g. ``"matplotlib.pyplot"``.
        extra: Name of the extra in ``pyproject.toml``.

    Raises:
        MissingExtra: The module cannot be found.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtra(
            f"{package} is not installed; it belongs to the extra '{extra}': "
            f"pip install 'whitebox-transformers[{extra}]'"
        ) from error
