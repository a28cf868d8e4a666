"""What ``wbt doctor`` looks at.

Nothing here imports the library: a broken installation must not silence the doctor.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

DISTRIBUTION = "whitebox-transformers"
USER_EXTRAS = ("train", "analysis", "segment", "export", "timm")


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis.

    Attributes:
        subject: What was looked at.
        found: What was found.
        mend: What to do about it; empty if all is well.
        blocking: The core cannot work like this.
    """

    subject: str
    found: str
    mend: str = ""
    blocking: bool = False


def examine() -> list[Finding]:
    """Every finding, the installation first, then the machine."""
    return [_python(), *_core(), _torchvision(), *_extras(), *_machine()]


def _python() -> Finding:
    mend = "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer"
    return Finding("python", platform.python_version(), mend, blocking=bool(mend))


def _core() -> list[Finding]:
    return [_installed(item) for item in _requirements(extra="")]


def _installed(requirement: Requirement) -> Finding:
    pip = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, "missing", pip, blocking=True)
    if requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, found)
    return Finding(requirement.name, f"{found}, needs {requirement.specifier}", pip, blocking=True)


def _torchvision() -> Finding:
    """A torchvision made for another torch fails at import and takes transformers with it."""
    try:
        found = version("torchvision")
    except PackageNotFoundError:
        return Finding("torchvision", "not installed (extra 'train')")
    try:
        importlib.import_module("torchvision.ops")
    except (ImportError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Finding(
            "torchvision",
            f"{found} does not fit torch {_version('torch')}: {reason}",
            "install both in one command so that they match: "
            "pip install --force-reinstall torch torchvision; "
            "or do without: pip uninstall torchvision",
            blocking=True,
        )
    return Finding("torchvision", f"{found}, fits torch {_version('torch')}")


def _extras() -> list[Finding]:
    return [_extra(name) for name in USER_EXTRAS]


def _extra(name: str) -> Finding:
    missing = [item.name for item in _requirements(name) if not _version(item.name)]
    if not missing:
        return Finding(f"extra {name}", "complete")
    return Finding(
        f"extra {name}",
        f"without {', '.join(missing)}",
        f"only if you need it: pip install '{DISTRIBUTION}[{name}]'",
    )


def _machine() -> list[Finding]:
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        return [Finding("torch", f"cannot be imported: {error}", "reinstall torch", blocking=True)]
    return [_threads(torch.get_num_threads()), _accelerator(torch)]


def _threads(threads: int) -> Finding:
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    found = f"{threads} threads on {cores} cores"
    if threads > cores:
        return Finding(
            "threads", found, f"more threads than cores is slow: OMP_NUM_THREADS={cores}"
        )
    return Finding("threads", found)


def _accelerator(torch) -> Finding:
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Finding("accelerator", ", ".join(names))
    if torch.backends.mps.is_available():
        return Finding("accelerator", "Apple GPU")
    return Finding("accelerator", "none; everything runs on the CPU")


def _requirements(extra: str) -> list[Requirement]:
    """Requirements of one extra; of the core for the empty name."""
    found = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    if not extra:
        return [
            item for item in found if item.marker is None or item.marker.evaluate({"extra": ""})
        ]
    return [
        item
        for item in found
        if item.marker is not None
        and item.marker.evaluate({"extra": extra})
        and not item.marker.evaluate({"extra": ""})
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
