"""CRATE against its transcription and against Hugging Face's ViT: inference and training.

    python -m benchmarks.classifier_speed                     # the recorded CPU table
    python -m benchmarks.classifier_speed --device cuda       # the same in bf16, compiled and not

Everything is timed in one run with contenders in turn; quote the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from tests.oracles.operators import classify
from transformers import ViTConfig, ViTForImageClassification

from benchmarks.records import write_result
from benchmarks.saved_bytes import saved_bytes
from benchmarks.timing import Timing, interleave, ratio_row, time_rows
from whitebox_transformers import CrateConfig, CrateForImageClassification, fold

CLASSES = 1000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="crate-base")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--out", type=Path, help="JSON file instead of the recorded one")
    return parser.parse_args()


def folded_flops(config: CrateConfig, batch: int) -> int:
    """2 * tokens * (3 d^2 + 2 N d) a layer: the products of a folded published layer."""
    rows, columns = config.grid_size
    tokens, width = rows * columns + 1, config.hidden_size
    layer = 2 * batch * tokens * (3 * width**2 + 2 * tokens * width)
    return config.num_hidden_layers * layer


def matrix_product(device: torch.device, dtype: torch.dtype) -> tuple[Callable[[], object], int]:
    """The machine's own rate: 1576 x 768 x 768 ten times, or 8192 cubed on a GPU; and its FLOPs."""
    m, n, k = (8192, 8192, 8192) if device.type == "cuda" else (1576, 768, 768)
    times = 1 if device.type == "cuda" else 10
    a = torch.randn(m, k, device=device, dtype=dtype)
    b = torch.randn(k, n, device=device, dtype=dtype)
    out = torch.empty(m, n, device=device, dtype=dtype)

    def product() -> None:
        for _ in range(times):
            torch.mm(a, b, out=out)

    return product, times * 2 * m * n * k


class Contenders:
    """The models of one table, with the batch they see."""

    def __init__(self, preset: str, batch: int, device: torch.device, dtype: torch.dtype):
        torch.manual_seed(0)
        self.config = CrateConfig.from_preset(preset, num_labels=CLASSES)
        self.crate = CrateForImageClassification(self.config).to(device, dtype).eval()
        self.vit = ViTForImageClassification(
            ViTConfig(
                hidden_size=self.config.hidden_size,
                num_hidden_layers=self.config.num_hidden_layers,
                num_attention_heads=self.config.num_attention_heads,
                intermediate_size=4 * self.config.hidden_size,
                num_labels=CLASSES,
            )
        ).to(device, dtype)
        self.vit.eval()
        size = self.config.image_size
        self.pixels = torch.randn(batch, 3, size, size, device=device, dtype=dtype)
        self.labels = torch.randint(CLASSES, (batch,), device=device)

    def transcription(self) -> torch.Tensor:
        return classify(
            dict(self.crate.named_parameters()),
            self.pixels,
            patch=self.config.patch_size,
            heads=self.config.num_attention_heads,
            depth=self.config.num_hidden_layers,
        )

    def loss(self, logits: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits.float(), self.labels)


def inference(contenders: Contenders, rounds: int, device, dtype, mode: str) -> list[dict]:
    """Times of one forward pass each, and what they come to."""
    pixels = contenders.pixels
    folded = fold(contenders.crate)
    half = fold(contenders.crate, dtype=torch.bfloat16)
    vit = contenders.vit
    product, product_flops = matrix_product(device, dtype)
    if mode == "compiled":
        folded, half, vit = (torch.compile(model) for model in (folded, half, vit))
    # The machine's own rate stands next to the model that is measured by it.
    calls = {
        "matrix product": product,
        "crate folded": lambda: folded(pixels),
        "crate folded bf16": lambda: half(pixels.bfloat16()),
        "crate": lambda: contenders.crate(pixels),
        "transcription": contenders.transcription,
        "vit": lambda: vit(pixels),
    }
    if not has_bf16_instructions(device):
        del calls["crate folded bf16"]
    with torch.inference_mode():
        times = interleave(calls, rounds, device, "inference")
    folded_time, product_time = times["crate folded"], times["matrix product"]
    # Seconds of the matrix rate for the model's operations, over the model's seconds.
    scale = folded_flops(contenders.config, len(pixels)) / product_flops
    ideal = Timing([seconds * scale for seconds in product_time.seconds])

    def row(what: str, slow: Timing, fast: Timing) -> dict:
        return ratio_row(f"{mode} inference", what, slow, fast)

    rows = time_rows(times, f"{mode} inference") + [
        row("transcription / crate folded", times["transcription"], folded_time),
        row("vit / crate folded", times["vit"], folded_time),
        row("crate folded, share of the matrix rate", ideal, folded_time),
    ]
    if "crate folded bf16" in times:
        half_time = times["crate folded bf16"]
        rows.append(row("transcription / crate folded bf16", times["transcription"], half_time))
    return rows


def has_bf16_instructions(device: torch.device) -> bool:
    """Without them a CPU emulates bf16, and the number would be about the emulation."""
    return device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def training(contenders: Contenders, rounds: int, device: torch.device, mode: str) -> list[dict]:
    """Times of one training step each (forward, backward, AdamW), and bytes kept for backward."""
    crate, vit = contenders.crate, contenders.vit

    def step(model, logits) -> Callable[[], None]:
        model.requires_grad_(True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

        def call() -> None:
            contenders.loss(logits()).backward()
            optimizer.step()
            optimizer.zero_grad()

        return call

    forward = {
        "transcription": contenders.transcription,
        "crate": lambda: crate(contenders.pixels).logits,
        "vit": lambda: vit(contenders.pixels).logits,
    }
    kept = {
        name: saved_bytes(
            lambda call=call: contenders.loss(call()), [*crate.parameters(), *vit.parameters()]
        )
        for name, call in forward.items()
    }
    if mode == "compiled":
        forward = {name: torch.compile(call) for name, call in forward.items()}
    owners = {"transcription": crate, "crate": crate, "vit": vit}
    calls = {name: step(owners[name], call) for name, call in forward.items()}
    times = interleave(calls, rounds, device, "training")
    mode = f"{mode} training"
    kept_rows = [
        {"mode": mode, "what": f"{name}, bytes kept for backward", "median": size}
        for name, size in kept.items()
    ]
    share = {
        "mode": mode,
        "what": "bytes kept, crate / transcription",
        "median": kept["crate"] / kept["transcription"],
    }
    return [
        *time_rows(times, mode),
        ratio_row(mode, "transcription / crate", times["transcription"], times["crate"]),
        ratio_row(mode, "vit / crate", times["vit"], times["crate"]),
        *kept_rows,
        share,
    ]


def main() -> None:
    options = arguments()
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    rows = []
    for mode in ("eager", "compiled") if device.type == "cuda" else ("eager",):
        contenders = Contenders(options.preset, options.batch, device, dtype)
        rows += inference(contenders, options.rounds, device, dtype, mode)
        rows += training(contenders, options.rounds, device, mode)
    settings = {key: str(value) for key, value in vars(options).items() if key != "out"}
    settings |= {"dtype": str(dtype), "cpu": torch.backends.cpu.get_cpu_capability()}
    path = write_result(f"classifier_speed_{device.type}", settings, rows, options.out)
    for row in rows:
        print(row)
    print(path)


if __name__ == "__main__":
    main()
