"""Many images, one at a time: a bad one is named and counted, and the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from whitebox_transformers.data.faults import Fault
from whitebox_transformers.errors import UserError
from whitebox_transformers.segmentation.encoder import ImageEncoder
from whitebox_transformers.segmentation.reading import ImageRead, Reading, input_size, read_image

NAMED = 20


@dataclass
class Batch:
    """Images to go through, and which of them could not be used.

    Attributes:
        encoder: Says how they are prepared.
        files: The images.
        reading: At which size they are read, and which are refused.
        used: How many could be used so far.
        left_out: How many could not.
        reasons: The first of those, by name and reason.
    """

    encoder: ImageEncoder
    files: Sequence[Path]
    reading: Reading
    used: int = 0
    left_out: int = 0
    reasons: list[str] = field(default_factory=list)

    def check_patches(self, most: int, why: str) -> None:
        """Refuse a resolution that makes more patches than can be dealt with.

        Raises:
            UserError: With a resolution that can.
        """
        patch = self.encoder.patch
        tall, wide = input_size((1, 1), patch, self.reading)
        count = (tall // patch[0]) * (wide // patch[1])
        if count > most:
            side = int((most * patch[0] * patch[1]) ** 0.5)
            raise UserError(
                f"resolution {self.reading.resolution} makes {count:,} patches of {patch[0]} x "
                f"{patch[1]} pixels; at most {most:,} are taken ({why}): choose {side} or less"
            )

    def each(self, look: Callable[[ImageRead], Any], title: str) -> Iterator[tuple[ImageRead, Any]]:
        """Every usable image and what ``look`` makes of it, with a progress bar.

        Args:
            look: May raise `Fault`, as the reading does.
            title: Of the bar.

        Raises:
            UserError: At the end, if no image could be used.
        """
        for path in tqdm(self.files, desc=title, unit="image", leave=False, delay=1):
            try:
                image = read_image(path, self.encoder, self.reading)
                made = look(image)
            except Fault as fault:
                self.left_out += 1
                if len(self.reasons) < NAMED:
                    self.reasons.append(str(fault))
                continue
            self.used += 1
            yield image, made
        if not self.used:
            raise UserError(f"none of the images can be used: {'; '.join(self.reasons[:5])}")

    def forget(self) -> None:
        """Count from the beginning, before the images are gone through again."""
        self.used, self.left_out, self.reasons = 0, 0, []

    def to_json(self) -> dict[str, Any]:
        """How many images were used and left out, and why."""
        return {"images": self.used, "left_out": self.left_out, "reasons": self.reasons}
