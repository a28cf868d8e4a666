"""The measurements behind the chapters on a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whitebox_transformers.analysis.inversion import Inversion, measure_inversion
from whitebox_transformers.analysis.layer_report import LayerReport
from whitebox_transformers.analysis.layerwise import measure
from whitebox_transformers.crate.modeling_crate_mae import CrateMAEForPreTraining
from whitebox_transformers.data.measured import measured_batches
from whitebox_transformers.data.protocol import Splits
from whitebox_transformers.report.content import Section
from whitebox_transformers.report.decoder_charts import (
    decoder_section,
    inversion_findings,
    inversion_section,
)


@dataclass(frozen=True)
class DecoderStudy:
    """What was measured of a decoder.

    Attributes:
        trained: Its layers, by split.
        control: The untrained control's, on validation.
        residual: Whether a layer takes a residual sparse step back in place of ``E LN Y``.
        inversion: How far it undoes the encoder, on validation; ``None`` where it is deeper.
        inversion_control: The same of the control.
    """

    trained: dict[str, LayerReport]
    control: LayerReport
    residual: bool
    inversion: Inversion | None
    inversion_control: Inversion | None

    def sections(self) -> list[Section]:
        """Chapters of the page."""
        measured = {split: report.curves for split, report in self.trained.items()}
        sections = [decoder_section(measured | {"control": self.control.curves}, self.residual)]
        if self.inversion is not None and self.inversion_control is not None:
            sections.append(inversion_section(self.inversion, self.inversion_control))
        return sections

    def findings(self) -> list[str]:
        """What was found, as sentences."""
        if self.inversion is None or self.inversion_control is None:
            return []
        return inversion_findings(self.inversion, self.inversion_control)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        found: dict[str, Any] = {
            "decoder": {split: report.to_json() for split, report in self.trained.items()}
            | {"control": self.control.to_json()}
        }
        if self.inversion is not None and self.inversion_control is not None:
            found["inversion"] = {
                "trained": self.inversion.to_json(),
                "control": self.inversion_control.to_json(),
            }
        return found


def study_decoder(
    model: CrateMAEForPreTraining,
    control: CrateMAEForPreTraining,
    data: Splits,
    samples: int,
    batch_size: int,
    seed: int,
) -> DecoderStudy:
    """Measure the decoder on masked images, as it is trained; arguments as of ``study_layers``."""
    splits = {"train": data.train_plain, "validation": data.validation}

    def batches(split: str, whose: str) -> Iterator[Mapping[str, Tensor]]:
        return measured_batches(splits[split], samples, batch_size, seed, f"{whose}, {split}")

    def layers(network: CrateMAEForPreTraining, split: str, whose: str) -> LayerReport:
        return measure(network.decoder, decoder_inputs(network, batches(split, whose)))

    paired = len(model.decoder.stack.layers) <= len(model.crate.stack.layers)
    return DecoderStudy(
        {split: layers(model, split, "decoder") for split in splits},
        layers(control, "validation", "untrained decoder"),
        model.config.decoder_sparsification == "overcomplete",
        measure_inversion(model, batches("validation", "inversion")) if paired else None,
        measure_inversion(control, batches("validation", "untrained")) if paired else None,
    )


def decoder_inputs(
    model: CrateMAEForPreTraining, batches: Iterable[Mapping[str, Tensor]]
) -> Iterator[dict[str, Tensor]]:
    """What the decoder is given for batches of images and noise."""
    model.eval()
    for batch in batches:
        with torch.inference_mode():
            inputs = {key: batch[key].to(model.device) for key in ("pixel_values", "noise")}
            yield {"z": model.encode(**inputs)[1]}
