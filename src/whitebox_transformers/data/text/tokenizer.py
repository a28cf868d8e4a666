"""Tokenizers: trained on the training text, saved with the run, found by ``AutoTokenizer``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from whitebox_transformers.data.text.chunks import chunks
from whitebox_transformers.data.text.config import TokenizerConfig
from whitebox_transformers.errors import UserError

Objective = Literal["causal", "masked", "classification"]

END_OF_TEXT = "<|endoftext|>"
# RoBERTa's names and numbers: begin 0, padding 1, end 2, mask 3.
BEGIN, PADDING, END, MASK = "<s>", "<pad>", "</s>", "<mask>"


@dataclass(frozen=True)
class SpecialTokens:
    """Tokens that stand for no text."""

    names: tuple[str, ...]
    """In the order of their ids, from 0."""
    roles: dict[str, str]
    """Arguments of ``PreTrainedTokenizerFast``."""

    @classmethod
    def of(cls, objective: Objective, several_documents: bool) -> SpecialTokens:
        """What an objective needs; a single document needs no token that ends it."""
        if objective == "causal":
            return cls((END_OF_TEXT,), {"eos_token": END_OF_TEXT}) if several_documents else NONE
        roles = {
            "bos_token": BEGIN,
            "cls_token": BEGIN,
            "pad_token": PADDING,
            "eos_token": END,
            "sep_token": END,
            "mask_token": MASK,
        }
        return cls((BEGIN, PADDING, END, MASK), roles)


NONE = SpecialTokens((), {})


def train_tokenizer(
    config: TokenizerConfig,
    special: SpecialTokens,
    texts: Iterable[str],
    alphabet: set[str],
    context: int,
) -> PreTrainedTokenizerFast:
    """Make a tokenizer for a corpus; the same corpus gives the same one.

    Args:
        config: The recipe's ``tokenizer`` block.
        special: Tokens that stand for no text.
        texts: The training documents.
        alphabet: All characters of the corpus.
        context: Tokens in a sample, stored with it as the longest sequence for the model.

    Raises:
        UserError: The vocabulary is too small for what it must hold.
    """
    makers = {"bpe": _byte_level_bpe, "characters": _characters}
    if config.kind == "bpe":
        least = 256 + len(special.names)
        if config.vocabulary_size < least:
            raise UserError(
                f"tokenizer.vocabulary_size={config.vocabulary_size} is too small; "
                f"256 bytes and {len(special.names)} special tokens need {least}"
            )
    tokenizer = makers[config.kind](config, special, texts, alphabet)
    if "cls_token" in special.roles:
        tokenizer.post_processor = _framed(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        # Prompts of different lengths are continued at their ends.
        padding_side="right" if "cls_token" in special.roles else "left",
        **special.roles,
    )


def check_vocabulary(tokenizer: PreTrainedTokenizerFast, size: int, where: str) -> None:
    """Make sure that a model knows all ids of a tokenizer.

    Args:
        tokenizer: It may have fewer tokens than the model, whose matrix is often padded.
        size: Rows of the model's embedding.
        where: Names the model in messages.

    Raises:
        UserError: The tokenizer has more tokens.
    """
    if len(tokenizer) > size:
        raise UserError(
            f"{where} has a vocabulary of {size} tokens, but the tokenizer has {len(tokenizer)}; "
            f"set vocab_size={len(tokenizer)} or use the tokenizer that the model was trained with"
        )


def _byte_level_bpe(
    config: TokenizerConfig, special: SpecialTokens, texts: Iterable[str], alphabet: set[str]
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocabulary_size,
        min_frequency=config.min_frequency,
        special_tokens=list(special.names),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = _first_bytes(texts, int(config.sample_mib * 2**20))
    tokenizer.train_from_iterator((chunk for text in sample for chunk in chunks(text)), trainer)
    return tokenizer


def _characters(
    config: TokenizerConfig, special: SpecialTokens, texts: Iterable[str], alphabet: set[str]
) -> Tokenizer:
    names = [*special.names, *sorted(alphabet)]
    # Not BPE without merges, which would leave out unknown characters without a word.
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}))
    tokenizer.add_special_tokens(list(special.names))
    # In Oniguruma's Ruby syntax (?m) lets the dot match a line's end.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(?m)."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _framed(special: SpecialTokens) -> processors.TemplateProcessing:
    """RoBERTa's frame: ``<s> A </s>``, and for pairs ``<s> A </s> </s> B </s>``."""
    ids = {name: index for index, name in enumerate(special.names)}
    return processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}",
        pair=f"{BEGIN} $A {END} {END} $B {END}",
        special_tokens=[(BEGIN, ids[BEGIN]), (END, ids[END])],
    )


def _first_bytes(texts: Iterable[str], left: int) -> Iterator[str]:
    for text in texts:
        yield text
        left -= len(text.encode())
        if left <= 0:
            return
