"""Tokenizers: trained on the training text or loaded, saved with the run for ``AutoTokenizer``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from whitebox_transformers.data.location import expand
from whitebox_transformers.data.text.chunks import chunks
from whitebox_transformers.data.text.special_tokens import (
    BEGIN,
    END,
    UNKNOWN,
    Objective,
    SpecialTokens,
)
from whitebox_transformers.data.text.tokenizer_config import TokenizerConfig
from whitebox_transformers.errors import UserError

MIB = 2**20
BYTES = 256
USUAL_SIZE = 4096


def train_tokenizer(
    config: TokenizerConfig,
    objective: Objective,
    texts: Iterable[str],
    alphabet: set[str],
    several_documents: bool,
    context: int,
) -> PreTrainedTokenizerBase:
    """Make a tokenizer for a corpus; the same corpus gives the same one.

    Args:
        config: The recipe's ``tokenizer`` block.
        objective: Decides on the special tokens.
        texts: The training documents.
        alphabet: All characters of the corpus.
        several_documents: Whether there is more than one document, so that one must be ended.
        context: Tokens in a sample, stored with it as the longest sequence for the model.

    Raises:
        UserError: The vocabulary is too small for what it must hold.
    """
    special = SpecialTokens.of(objective, several_documents, unknown=config.kind == "words")
    if config.kind == "characters":
        tokenizer = _characters(special, alphabet)
    elif config.kind == "words":
        tokenizer = _words(config, special, texts)
    else:
        tokenizer = _byte_level(config, special, texts)
    framed = "cls_token" in special.roles
    if framed:
        tokenizer.post_processor = _frame(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
        # Prompts of different lengths are continued at their ends.
        padding_side="right" if framed else "left",
        **special.roles,
    )


def load_tokenizer(config: TokenizerConfig, where: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a run, of a folder or of the hub.

    Args:
        config: ``kind`` is ``pretrained``.
        where: Names it in messages; ``None``: the recipe's key.

    Raises:
        UserError: There is none.
    """
    failure = f"{where or f'tokenizer.path={config.path}'}: cannot load a tokenizer from there"
    missing = "there is no tokenizer.json; save the one the model was trained with"
    name = expand(config.path, "tokenizer.path")
    try:
        tokenizer = AutoTokenizer.from_pretrained(name, revision=config.revision or "main")
    # Whatever goes wrong in there, from a missing file to a broken connection, is not ours.
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        reason = missing if "backend tokenizer" in reason else reason
        raise UserError(f"{failure}: {reason}") from error
    # For a folder without one transformers makes up the special tokens of the model's type.
    if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
        raise UserError(f"{failure}: {missing}")
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, where: str) -> None:
    """Make sure that a model knows all ids of a tokenizer.

    Args:
        tokenizer: It may have fewer tokens than the model, whose matrix is often padded.
        size: Rows of the model's embedding.
        where: Names the model in messages.

    Raises:
        UserError: The tokenizer can make tokens that the model has no row for.
    """
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= size:
        raise UserError(
            f"{where}: the tokenizer has tokens up to number {highest:,}, but the model knows "
            f"{size:,}; they do not belong together: use the tokenizer that the model was trained "
            "with"
        )


def _byte_level(config: TokenizerConfig, special: SpecialTokens, texts: Iterable[str]) -> Tokenizer:
    least = BYTES + len(special.names)
    size = least if config.kind == "bytes" else config.vocabulary_size or USUAL_SIZE
    if size < least:
        raise UserError(
            f"tokenizer.vocabulary_size={size} is too small; {BYTES} bytes and "
            f"{len(special.names)} special tokens need {least}"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=config.min_frequency,
        special_tokens=list(special.names),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sample = () if size == least else _sample(texts, config)
    tokenizer.train_from_iterator(sample, trainer)
    return tokenizer


def _characters(special: SpecialTokens, alphabet: set[str]) -> Tokenizer:
    names = [*special.names, *sorted(alphabet)]
    # Not BPE without merges, which would leave out unknown characters without a word.
    tokenizer = Tokenizer(models.WordLevel({name: index for index, name in enumerate(names)}))
    tokenizer.add_special_tokens(list(special.names))
    # In Oniguruma's Ruby syntax (?m) lets the dot match a line's end.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(?m)."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _words(config: TokenizerConfig, special: SpecialTokens, texts: Iterable[str]) -> Tokenizer:
    counted = Tokenizer(models.WordLevel())
    counted.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.WordLevelTrainer(
        vocab_size=config.vocabulary_size or 2**31,
        min_frequency=config.min_frequency,
        special_tokens=list(special.names),
        show_progress=False,
    )
    counted.train_from_iterator(_sample(texts, config), trainer)
    words = counted.get_vocab()
    # A word that is spelt like a special token, as <unk> in many corpora, was numbered twice.
    names = [*special.names, *sorted(words.keys() - set(special.names), key=words.__getitem__)]
    numbers = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.add_special_tokens(list(special.names))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return tokenizer


def _frame(special: SpecialTokens) -> processors.TemplateProcessing:
    """RoBERTa's: ``<s> A </s>``, and for pairs ``<s> A </s> </s> B </s>``."""
    ids = {name: index for index, name in enumerate(special.names)}
    return processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}",
        pair=f"{BEGIN} $A {END} {END} $B {END}",
        special_tokens=[(BEGIN, ids[BEGIN]), (END, ids[END])],
    )


def _sample(texts: Iterable[str], config: TokenizerConfig) -> Iterator[str]:
    """The beginning of the training text, in pieces for the trainer's threads."""
    left = int(config.sample_mib * MIB)
    for text in texts:
        yield from chunks(text)
        left -= len(text.encode())
        if left <= 0:
            return
