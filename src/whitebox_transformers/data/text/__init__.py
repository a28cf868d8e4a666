"""Text for training and evaluation: sources, splits, checks, tokenizers, packing, exact order.

``build_text`` is the way in. Every random draw is a function of (seed, epoch, block), so what a
run sees depends neither on the number of workers or processes nor on where it was interrupted.
"""

from whitebox_transformers.data.text.build import ClassifiedTextData, TextData, build_text
from whitebox_transformers.data.text.config import TextDataConfig
from whitebox_transformers.data.text.tokenizer import check_vocabulary, load_tokenizer
from whitebox_transformers.data.text.tokenizer_config import TokenizerConfig

__all__ = [
    "ClassifiedTextData",
    "TextData",
    "TextDataConfig",
    "TokenizerConfig",
    "build_text",
    "check_vocabulary",
    "load_tokenizer",
]
