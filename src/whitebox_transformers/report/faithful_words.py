"""What `wbt faithful` says of a study: tables by layer, and sentences that count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from whitebox_transformers.report.axes import number
from whitebox_transformers.report.content import Table
from whitebox_transformers.report.faithful_study import FaithfulStudy

CONTROLS = {"untrained": "untrained, mean", "gaussian": "Gaussian, mean"}


@dataclass(frozen=True)
class Column:
    """One quantity of a table, and what the derivation says of it."""

    key: str
    heading: str
    derived: str = ""


COMPRESS = (
    Column("rate-published-z", "R^c pub. at Z^l"),
    Column("compress-rate-published", "change", "< 0"),
    Column("rate-definition-z", "R^c def. at Z^l"),
    Column("compress-rate-definition", "change", "< 0"),
    Column("compress-expansion-raw", "R raw, change"),
    Column("compress-expansion-unit", "R unit, change"),
    Column("compress-descent-published", "cos -grad pub.", "1"),
    Column("compress-descent-definition", "cos -grad def.", "1"),
    Column("compress-tied", "cos tied step", "1"),
)
SPARSIFY = (
    Column("sparsify-expansion-raw", "R raw, change", "about 0"),
    Column("sparsify-expansion-unit", "R unit, change", "about 0"),
    Column("sparsify-rate-published", "R^c pub., change"),
    Column("sparsify-rate-definition", "R^c def., change"),
    Column("sparsify-lasso-start", "lasso before"),
    Column("sparsify-lasso-end", "after"),
    Column("sparsify-lasso-change", "relative", "< 0"),
    Column("nonzero-share", "non-zero Z^{l+1}"),
)
MATRICES = (
    Column("tied", "W ~ c U", "1"),
    Column("tied_by_head", "W_k ~ c_k U_k", "1"),
    Column("own_subspaces", "W_k in span U_k", "1"),
    Column("own_subspaces_random", "by chance"),
    Column("u_identity_distance", "|U'U - I|", "0"),
    Column("u_identity_distance_scaled", "scaled", "0"),
    Column("u_across", "cos of heads", "0"),
    Column("u_random", "by chance"),
    Column("d_identity_distance", "|D'D - I|", "0"),
    Column("d_identity_distance_scaled", "scaled", "0"),
)
OBJECTIVE = tuple(
    Column(f"objective-{convention}-{place}", f"{short} {where}")
    for convention, short in (("published", "pub."), ("definition", "def."))
    for place, where in (("z", "at Z^l"), ("z-half", "Z^{l+1/2}"), ("z-next", "Z^{l+1}"))
)
_TABLES = (
    ("Compress, Z^l to Z^{l+1/2}", COMPRESS, "-"),
    ("Sparsify, Z^{l+1/2} to Z^{l+1}", SPARSIFY, "-"),
    ("Matrices: output W, subspaces U, dictionary D", MATRICES, "-"),
    ("Objective R - R^c - 0.1 ||Z||_0", OBJECTIVE, "grows"),
)


def tables(study: FaithfulStudy) -> list[Table]:
    """One row a layer, the means of the controls, and what the derivation says."""
    found = []
    trained = study.values("trained")
    for title, columns, missing in _TABLES:
        shown = [column for column in columns if column.key in trained]
        if not shown:
            continue
        depth = len(trained[shown[0].key])
        rows = [
            [f"layer {layer + 1}", *(number(trained[column.key][layer]) for column in shown)]
            for layer in range(depth)
        ]
        for which, name in CONTROLS.items():
            values = study.values(which)
            if shown[0].key in values:
                rows.append([name, *(number(fmean(values[column.key])) for column in shown)])
        rows.append(["derived", *(column.derived or missing for column in shown)])
        found.append(Table(title, ["", *(column.heading for column in shown)], rows))
    return found


def findings(study: FaithfulStudy) -> list[str]:
    """Sentences that hold what was counted against the derivation and against the controls."""
    sentences = [
        _counted(
            study,
            f"compress-rate-{convention}",
            lambda value: value < 0,
            f"Compress lowers R^c ({convention}) in",
        )
        for convention in ("published", "definition")
    ]
    sentences += [
        _means(
            study,
            f"compress-descent-{convention}",
            f"Cosine of the Compress step with -grad R^c ({convention}), mean over layers:",
        )
        for convention in ("published", "definition")
    ]
    sentences.append(
        _means(study, "compress-tied", "Cosine of MSSA's output with the tied one, mean:")
    )
    if "sparsify-lasso-change" in study.values("trained"):
        sentences.append(
            _counted(
                study,
                "sparsify-lasso-change",
                lambda value: value < 0,
                "Sparsify lowers its lasso in",
            )
        )
    return sentences + [_climbs(study, convention) for convention in ("published", "definition")]


def along_depth(values: dict[str, list[float]], convention: str) -> list[float]:
    """The objective at Z^1 .. Z^L, by each layer's subspaces, and at the output by the last's."""
    last = "z-next" if f"objective-{convention}-z-next" in values else "z-half"
    return [
        *values[f"objective-{convention}-z"],
        values[f"objective-{convention}-{last}"][-1],
    ]


def _climbs(study: FaithfulStudy, convention: str) -> str:
    parts = []
    for which in ("trained", "untrained"):
        curve = along_depth(dict(study.values(which)), convention)
        steps = sum(after > before for before, after in zip(curve, curve[1:], strict=False))
        parts.append(
            f"{which} in {steps} of {len(curve) - 1} layers, from {number(curve[0])} to "
            f"{number(curve[-1])}"
        )
    return f"The objective ({convention}) grows along depth: {'; '.join(parts)}."


def _counted(study: FaithfulStudy, key: str, holds: Callable[[float], bool], beginning: str) -> str:
    def count(values: Sequence[float]) -> str:
        return f"{sum(map(holds, values))} of {len(values)}"

    trained, untrained, gaussian = (study.values(which)[key] for which in study.steps)
    return (
        f"{beginning} {count(trained)} layers; untrained in {count(untrained)}, on Gaussian "
        f"tokens in {count(gaussian)}."
    )


def _means(study: FaithfulStudy, key: str, beginning: str) -> str:
    trained, untrained, gaussian = (fmean(study.values(which)[key]) for which in study.steps)
    return (
        f"{beginning} {number(trained)}; untrained {number(untrained)}, on Gaussian tokens "
        f"{number(gaussian)}."
    )
