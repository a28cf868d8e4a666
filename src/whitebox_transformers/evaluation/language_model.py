"""A language model together with its tokenizer, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from whitebox_transformers.data.text import TokenizerConfig, check_vocabulary, load_tokenizer
from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.tokens import tokens_around
from whitebox_transformers.training.progress import without_bars
from whitebox_transformers.training.run_folder import RunFolder

Kind = Literal["causal", "masked"]
_CAUSAL, _MASKED = ("ForCausalLM", "LMHeadModel"), ("ForMaskedLM",)
# What tokenizers say that do not know how long a text may be.
UNLIMITED = 10**9


@dataclass(frozen=True)
class LanguageModel:
    """A model that gives probabilities to tokens, and the tokenizer that makes them.

    Attributes:
        name: Folder or hub name it was loaded from.
        model: In evaluation mode.
        tokenizer: One of the ``tokenizers`` library, which knows where in the text a token is.
        kind: Whether it predicts the next token or a hidden one.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    kind: Kind

    @property
    def context(self) -> int | None:
        """The most tokens that can be read at once; ``None`` if nothing limits them."""
        return longest_sequence(self.model.config, self.tokenizer)

    @cached_property
    def opening(self) -> list[int]:
        """Tokens that the tokenizer itself puts before a text, such as ``<s>``."""
        return tokens_around(self.tokenizer)[0]

    @cached_property
    def closing(self) -> list[int]:
        """Tokens that the tokenizer itself puts after a text, such as ``[SEP]``."""
        return tokens_around(self.tokenizer)[1]


def load_language_model(name: str | Path, device: str | None = None) -> LanguageModel:
    """Load a finished run, a model folder, or a model of the hub.

    Args:
        name: Folder or hub name.
        device: Where to compute; ``None``: an accelerator if there is one.

    Raises:
        UserError: There is none, a run is not finished, the model gives no probabilities to
            tokens, or the tokenizer is missing or another model's.
    """
    name = str(name)
    path = Path(name).expanduser()
    folder = RunFolder(path)
    if folder.recipe.is_file() and not folder.finished:
        raise UserError(f"{name} is not finished; `wbt train` with the same command resumes it")
    source = str(path) if path.exists() else name
    try:
        config = AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name} holds no model (no config.json); give a finished run, a model folder or the "
            "name of a model on the hub"
        ) from error
    kind = kind_of(config, name)
    loader = AutoModelForCausalLM if kind == "causal" else AutoModelForMaskedLM
    tokenizer = read_tokenizer(source, name)
    check_vocabulary(tokenizer, config.get_text_config().vocab_size, name)
    with without_bars():
        model = loader.from_pretrained(source).eval()
    nn.Module.to(model, torch.device(device) if device else _device())
    return LanguageModel(name, model, tokenizer, kind)


def kind_of(config: PreTrainedConfig, name: str) -> Kind:
    """Whether a configuration is a causal or a masked language model's.

    Raises:
        UserError: It is neither.
    """
    for architecture in config.architectures or ():
        if architecture.endswith(_CAUSAL):
            return "causal"
        if architecture.endswith(_MASKED):
            return "masked"
        raise UserError(
            f"{name} holds {architecture}, which gives no probabilities to tokens; give a causal "
            "or masked language model"
        )
    # A configuration that names no class, e.g. of a checkpoint saved by hand.
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return "masked"
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return "causal"
    raise UserError(
        f"{name} holds a model of type {config.model_type!r}, which gives no probabilities to "
        "tokens; give a causal or masked language model"
    )


def longest_sequence(
    config: PreTrainedConfig, tokenizer: PreTrainedTokenizerFast | None = None
) -> int | None:
    """The most tokens a model reads at once, special tokens included; ``None``: no limit known."""
    text = config.get_text_config()
    limit = getattr(text, "max_position_embeddings", None)
    if limit is not None and text.model_type in ("roberta", "xlm-roberta", "camembert"):
        # Their positions are counted from behind the padding token's number.
        limit -= text.pad_token_id + 1
    stated = getattr(tokenizer, "model_max_length", UNLIMITED)
    return min((n for n in (limit, stated) if n is not None and n < UNLIMITED), default=None)


def read_tokenizer(source: str, name: str) -> PreTrainedTokenizerFast:
    """The tokenizer of a model.

    Args:
        source: Folder or hub name.
        name: The same as a person spelled it, for messages.

    Raises:
        UserError: There is none, or it does not tell where in the text a token is.
    """
    tokenizer = load_tokenizer(TokenizerConfig(kind="pretrained", path=source), name)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UserError(
            f"{name} has a {type(tokenizer).__name__}, which does not tell where in the text a "
            "token is; expected a tokenizer of the tokenizers library (tokenizer.json)"
        )
    return tokenizer


def _device() -> torch.device:
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")
