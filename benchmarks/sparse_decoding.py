"""What the exact zeros of Z^l save when CRATE-GPT writes one token at a time on a CPU.

    python -m benchmarks.sparse_decoding                          # shares that are set
    python -m benchmarks.sparse_decoding --run RUN --text FILE    # and the share of a trained model

Every model is a folded CRATE-GPT of random weights whose thresholds are moved until the share of
non-zero coefficients is the one that is asked for, in every layer. Contenders take turns; quote the
ratios, not the seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.generation_speed import continuation
from benchmarks.records import write_result
from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers import fold
from whitebox_transformers.crate import CrateGPTConfig, CrateGPTForCausalLM
from whitebox_transformers.crate.folded_vocabulary import row_sum
from whitebox_transformers.evaluation.language_model import load_language_model

CONTEXT = 64
# Written between two products, so that no matrix is still in a cache of the processor.
EVICTING = 64 * 2**20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="crate-gpt-base")
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.2, 0.3, 0.4])
    parser.add_argument("--run", help="trained causal model whose share is measured and timed too")
    parser.add_argument("--text", type=Path, help="what it reads for that")
    parser.add_argument("--tokens", type=int, default=16, help="tokens written in a call")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


@torch.inference_mode()
def trained_shares(run: str, text: Path) -> list[float]:
    """Share of non-zero coefficients of Z^1 .. Z^L of a trained model at the text's beginning."""
    reader = load_language_model(run, device="cpu")
    length = reader.context or 512
    written = text.read_text(encoding="utf-8")
    ids = reader.tokenizer(written, return_tensors="pt", verbose=False)["input_ids"]
    representations = reader.model(ids[:, :length], output_z=True).z
    return [float((z != 0).float().mean()) for z in representations[1:]]


@torch.inference_mode()
def set_share(model: nn.Module, share: float) -> float:
    """Move the thresholds of a folded model until this share is not zero.

    Layer by layer, since what a layer sees depends on those before it. Returns the share of other
    tokens than it was set with.
    """
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(model.config.vocab_size, (2, 1, 256), generator=generator)

    def move(part: nn.Module, _, moved: Tensor) -> Tensor:
        level = moved.flatten().quantile(1 - share)
        part.linear.bias.sub_(level)
        return moved - level

    steps = [layer.sparsify.moved for layer in model.crate.stack.layers]
    hooks = [step.register_forward_hook(move) for step in steps]
    model.crate(ids[0])
    for hook in hooks:
        hook.remove()
    return float((model.crate(ids[1]).last_hidden_state != 0).float().mean())


def whole_models(preset: str, share: float, options) -> list[dict]:
    """Writing tokens with all rows and with those that meet non-zero coefficients."""
    torch.manual_seed(0)
    model = CrateGPTForCausalLM(CrateGPTConfig.from_preset(preset)).eval()
    dense, skipping = fold(model), fold(model, skip_zeros=True)
    found = [set_share(contender, share) for contender in (dense, skipping)][0]
    # As fold() would leave it without a layout of its own: rows of D numbers.
    by_rows = fold(model)
    set_share(by_rows, share)
    by_rows.lm_head.weight.data = by_rows.lm_head.weight.data.contiguous()
    ids = torch.randint(dense.config.vocab_size, (1, CONTEXT))
    contenders = {"by rows": by_rows, "by coordinates": dense, "zeros skipped": skipping}
    calls: dict[str, Callable[[], object]] = {
        name: continuation(contender, ids, options.tokens) for name, contender in contenders.items()
    }
    mode = f"non-zero share {found:.2f}, whole model"
    with torch.inference_mode():
        times = interleave(calls, options.rounds, torch.device("cpu"), mode, warmup=1)
    per_token = {
        name: Timing([seconds / options.tokens for seconds in timing.seconds])
        for name, timing in times.items()
    }
    return [
        *time_rows(per_token, mode),
        ratio(mode, per_token, "by rows", "by coordinates"),
        ratio(mode, per_token, "by coordinates", "zeros skipped"),
    ]


def single_products(outputs: int, width: int, share: float, rounds: int) -> list[dict]:
    """One token by one matrix (outputs, width) that no cache holds."""
    weight = torch.randn(outputs, width)
    transposed = weight.T.contiguous()
    token = torch.rand(1, width) * (torch.rand(1, width) < share)
    evicted = torch.zeros(EVICTING // 4)

    def skipping() -> Tensor:
        (places,) = token[0].nonzero(as_tuple=True)
        return row_sum(transposed, places, token[0, places])

    calls = {
        "by rows": lambda: F.linear(token, weight),
        "by coordinates": lambda: F.linear(token, transposed.T),
        "zeros skipped": skipping,
    }
    # What clears the caches is a contender too, so that it runs between any two of the others.
    between = {}
    for name, call in calls.items():
        between |= {f"(clearing before {name})": lambda: evicted.add_(1), name: call}
    mode = f"non-zero share {share:.2f}, product with ({outputs}, {width})"
    with torch.inference_mode():
        times = interleave(between, rounds, torch.device("cpu"), mode)
    times = {name: times[name] for name in calls}
    return [
        *time_rows(times, mode),
        ratio(mode, times, "by rows", "by coordinates"),
        ratio(mode, times, "by coordinates", "zeros skipped"),
    ]


def ratio(mode: str, times: dict[str, Timing], slow: str, fast: str) -> dict[str, Any]:
    return ratio_row(mode, f"{slow} / {fast}", times[slow], times[fast])


def main() -> None:
    options = arguments()
    if (options.run is None) != (options.text is None):
        raise SystemExit("--run and --text go together: a model, and what it reads.")
    torch.set_num_threads(options.threads)
    config = CrateGPTConfig.from_preset(options.preset)
    rows: list[dict[str, Any]] = []
    shares = list(options.shares)
    if options.run is not None:
        measured = trained_shares(options.run, options.text)
        rows += [
            {"mode": "trained", "what": f"non-zero share of Z^{index}", "median": round(share, 4)}
            for index, share in enumerate(measured, start=1)
        ]
        shares.append(measured[-1])
    for share in shares:
        rows += whole_models(options.preset, share, options)
        for outputs in (config.vocab_size, config.hidden_size):
            rows += single_products(outputs, config.hidden_size, share, options.rounds)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    settings |= {"dtype": "torch.float32", "cpu": torch.backends.cpu.get_cpu_capability()}
    path = write_result("sparse_decoding_cpu", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
