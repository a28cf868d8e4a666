"""Preprocessing written out step by step with Pillow and numpy, one image at a time."""

import numpy as np
from PIL import Image

ROTATIONS = {3: 180, 6: 270, 8: 90}  # EXIF orientation -> degrees counter-clockwise


def to_eight_bit_channels(image, channels):
    """Upright; transparency over white; 16 bits to 8; RGB or grey."""
    image = image.rotate(ROTATIONS.get(image.getexif().get(0x0112), 0), expand=True)
    if image.mode.startswith("I"):
        grey = np.rint(np.asarray(image).astype(float) / 65535 * 255)
        image = Image.fromarray(grey.astype(np.uint8), "L")
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA")).astype(float)
        alpha = rgba[..., 3:] / 255
        image = Image.fromarray(np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8))
    rgb = image.convert("RGB")
    return rgb if channels == 3 else rgb.convert("L")


def preprocess(image, edge, crop, mean, std, channels):
    """Shorter edge to ``edge``, central square of ``crop``, normalised: (C, H, W)."""
    image = to_eight_bit_channels(image, channels)
    width, height = image.size
    if width <= height:
        image = image.resize((edge, int(edge * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(edge * width / height), edge), Image.Resampling.BILINEAR)
    pixels = np.asarray(image).astype(np.float64).reshape(image.height, image.width, channels)
    top, left = (image.height - crop) // 2, (image.width - crop) // 2
    pixels = pixels[top : top + crop, left : left + crop] / 255
    return ((pixels - np.array(mean)) / np.array(std)).transpose(2, 0, 1)
