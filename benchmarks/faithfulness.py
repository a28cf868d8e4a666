"""How faithful trained layers are to the derivation: the quantities of `wbt faithful` as rows.

    wbt train image/digits out=runs/faithful/learned
    wbt train image/digits out=runs/faithful/tied model.config.mssa_output=tied
    python -m benchmarks.faithfulness digits runs/faithful/learned runs/faithful/tied

Every row is one quantity of one run: means over validation samples for every layer, and the mean
over layers beside that of the two controls.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean

from benchmarks.records import write_result
from whitebox_transformers.report.faithful import faithful
from whitebox_transformers.report.faithful_words import COMPRESS, MATRICES, OBJECTIVE, SPARSIFY


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of the result file")
    parser.add_argument("runs", type=Path, nargs="+", help="finished runs, called by their folder")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def rows_of(run: Path, samples: int) -> list[dict]:
    study = faithful(run, samples).study
    found = {which: study.values(which) for which in study.steps}
    keys = [column.key for column in (*COMPRESS, *SPARSIFY, *MATRICES, *OBJECTIVE)]
    return [
        {
            "run": run.name,
            "quantity": key,
            "mean over layers": fmean(found["trained"][key]),
            "untrained": fmean(found["untrained"][key]),
            "Gaussian tokens": fmean(found["gaussian"][key]) if key in found["gaussian"] else "",
            "by layer": ", ".join(f"{value:.3g}" for value in found["trained"][key]),
        }
        for key in keys
        if key in found["trained"]
    ]


def main() -> None:
    options = arguments()
    rows = [row for run in options.runs for row in rows_of(run, options.samples)]
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    path = write_result(f"faithfulness_{options.name}", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
