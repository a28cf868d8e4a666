"""A report full of invented numbers: every kind of content the page can hold."""

from __future__ import annotations

import numpy as np

from whitebox_transformers.analysis.layer_report import LayerCurve
from whitebox_transformers.report.content import (
    AttentionOfImage,
    Chart,
    Curve,
    Heatmap,
    HeatmapGrid,
    Prediction,
    Report,
    Section,
    Table,
)
from whitebox_transformers.report.layer_charts import layer_sections, training_section

KEYS = {
    "rate-published-z": (1500, 600, 60),
    "rate-published-z-half": (1450, 520, 60),
    "rate-definition-z": (2400, 2900, 120),
    "rate-definition-z-half": (2600, 3300, 140),
    "nonzero-share": (0.52, 0.14, 0.02),
    "rate-raw": (1100, 900, 40),
    "rate-unit": (420, 310, 15),
    "norm-z": (28, 16, 1.5),
    "norm-z-half": (31, 24, 2.0),
}


def statistics(layers: int, learned: float, shift: float = 0.0) -> dict[str, LayerCurve]:
    """Values that go from a start to an end, the further the more was learned."""
    depth = np.linspace(0.0, 1.0, layers)
    result = {}
    for key, (start, end, std) in KEYS.items():
        mean = start + learned * (end - start) * depth**0.8 + shift * std
        result[key] = LayerCurve(mean.tolist(), [float(std)] * layers)
    return result


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A smooth coloured image, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    waves = [np.sin(rng.uniform(3, 9) * rows + rng.uniform(3, 9) * columns) for _ in range(3)]
    return np.stack([(127 + 120 * wave) for wave in waves], axis=-1).astype(np.uint8)


def report(layers: int = 12, heads: int = 12, grid: tuple[int, int] = (14, 14)) -> Report:
    """A full report; ``grid`` sets the number of patches, 16 pixels each."""
    rng = np.random.default_rng(0)
    measured = {
        "control": statistics(layers, 0.02),
        "train": statistics(layers, 1.0),
        "validation": statistics(layers, 0.94, shift=0.4),
    }
    steps = {step: statistics(layers, step / 4000) for step in (0, 250, 1000, 2000, 4000)}
    over_training = training_section(steps)
    assert over_training is not None
    bases = [
        Heatmap(
            f"Layer {layer}", np.clip(abs(rng.normal(0, 0.15, (48, 48))) + np.eye(48), 0, 1), heads
        )
        for layer in range(1, layers + 1)
    ]
    structure = Section(
        "structure",
        "Structure",
        "What the layers learned, as matrices.",
        heatmaps=[
            HeatmapGrid(
                "subspaces",
                r"Coherence of the subspaces $[U_1,\\ldots,U_K]$".replace("\\\\", "\\"),
                "absolute cosine",
                bases,
                "Absolute cosines between the directions of all heads; white frames mark heads.",
                "Incoherent subspaces show blocks on the diagonal and little elsewhere.",
            )
        ],
    )
    x = [float(epoch) for epoch in range(1, 61)]
    learning = Section(
        "learning",
        "Training",
        "How the run went.",
        [
            Chart(
                "loss",
                "Loss",
                "cross-entropy (nats)",
                "epoch",
                [
                    Curve("train", "train", x, [2.3 * np.exp(-e / 15) + 0.5 for e in x]),
                    Curve("validation", "validation", x, [2.2 * np.exp(-e / 15) + 0.6 for e in x]),
                ],
                "Loss per image, label smoothing included.",
            ),
            Chart(
                "accuracy",
                "Validation accuracy",
                "share of images classified correctly",
                "epoch",
                [Curve("validation", "validation", x, [0.98 - 0.9 * np.exp(-e / 12) for e in x])],
                "The checkpoint with the best value was kept.",
            ),
        ],
    )
    size = (16 * grid[0], 16 * grid[1])
    attention = [
        AttentionOfImage(
            f"validation image {seed}",
            picture(*size, seed),
            {
                layer: rng.dirichlet(np.ones(grid[0] * grid[1]), heads).reshape(heads, *grid)
                for layer in range(1, layers + 1)
            },
            max(1, layers - 1),
            rng.dirichlet(np.ones(grid[0] * grid[1]) * 9, heads).reshape(heads, *grid),
        )
        for seed in range(3)
    ]
    ranking = [("tabby cat", 0.71), ("tiger cat", 0.15), ("Egyptian cat", 0.08), ("lynx <b>", 0.02)]
    predictions = [
        Prediction(f"validation image {seed}", picture(*size, seed), ranking, truth)
        for seed, truth in enumerate(["tabby cat", "lynx", None])
    ]
    return Report(
        title="digits-crate-2026",
        subtitle="A CRATE classifier, layer by layer: beside the same network untrained.",
        facts=[
            ("Model", "CRATE, 12 layers"),
            ("Parameters", "22.1 M"),
            ("Test accuracy", "98.4 %"),
            ("Samples", "256 train, 256 validation"),
            ("Checkpoint", "step 4,000"),
        ],
        findings=[r"$R^c(Z^\ell)$, published: 1,500 in layer 1, 654 in layer 12 on validation."],
        sections=[learning, *layer_sections(measured), over_training, structure],
        attention=attention,
        attention_words="Each tile is one head.",
        predictions=predictions,
        table=Table(
            "White box beside black box",
            ["", "parameters", "test accuracy"],
            [["CRATE", "86,600", "98.4 %"], ["ViT", "86,900", "98.1 %"]],
            "Equal steps.",
        ),
        provenance=[("Command", "wbt inspect runs/digits"), ("Seed", "0"), ("torch", "2.x")],
        warnings=["broken.png: not an image (cannot identify image file)"],
    )
