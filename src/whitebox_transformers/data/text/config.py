"""What a recipe says about text: the ``data:`` and ``tokenizer:`` blocks of language tasks."""

import math
from dataclasses import dataclass
from typing import Literal

from whitebox_transformers.data.config import check_choice, check_range
from whitebox_transformers.errors import UserError

SOURCES = ("stdlib", "file", "folder")
KINDS = ("bpe", "characters", "words", "bytes", "pretrained")


@dataclass
class TextDataConfig:
    """Where the text is, what a document is, how it is split and how it is cut into samples."""

    source: Literal["stdlib", "file", "folder"] = "stdlib"
    """``stdlib``: the source code of the Python standard library on this machine, nothing to
    download; a document is a file.
    ``file``: UTF-8 text files; a document is a file, or what ``separator`` ends.
    ``folder``: all files below a folder, or those that ``pattern`` names."""

    path: str | list[str] | None = None
    """The folder, or the file: a path, a pattern such as ``texts/*.txt``, or a list of both. ``~``
    and ``${VARIABLE}`` are expanded; an unset variable is an error. Unused by ``stdlib``."""

    validation_path: str | list[str] | None = None
    """The same for validation. ``null``: validation is carved from the training text."""

    test_path: str | list[str] | None = None
    """The same for testing. ``null``: test is carved from the training text."""

    pattern: str | None = None
    """``source: folder`` only: the files that count, e.g. ``*.txt``. ``null``: all of them."""

    separator: str | None = None
    """File and folder: what ends a document inside a file; ``"\\n"`` makes every line one.
    ``null``: a document is a whole file."""

    validation_share: float = 0.1
    """Share of the training text carved for validation if there is no validation path."""

    test_share: float = 0.1
    """Share carved for testing if there is no test path; 0: there is no test split."""

    carve: Literal["auto", "documents", "position"] = "auto"
    """``documents``: by a hash of a file's path or of a row's text, so that a document never lies
    in two splits and its split does not depend on the others (a split that would be empty takes
    the next one). ``position``: the last characters become the test split, those before them
    validation; of several documents each stays whole.
    ``auto``: ``position`` for a single document and for lines, which follow each other."""

    split_seed: int = 0
    """Seed of the carving, apart from the run's seed: runs with other seeds share their splits."""

    limit: int | None = None
    """Use at most this many documents of each split; for trials."""

    limit_mib: float | None = None
    """Use at most this much text of each split, in MiB; the last document is cut. For trials."""

    cross_documents: bool = True
    """Whether a block of tokens may run on from one document into the next, as in nanoGPT and the
    paper's recipes. ``false``: attention, positions and loss stay within a document, and its first
    token, which nothing precedes, is not predicted."""

    mask_share: float = 0.15
    """Masked language models only: share of the tokens that are to be predicted. Of these, 80 %
    are hidden, 10 % replaced by random tokens and 10 % left as they are, as in BERT."""

    mask_whole_words: bool = False
    """Masked language models only: choose whole words, as the tokenizer splits text, instead of
    tokens."""

    on_bad: Literal["error", "skip"] = "error"
    """What to do with documents that are not UTF-8 text: stop and list them, or leave them out."""

    max_bad: float = 0.001
    """Largest share of such documents that may be left out; beyond it the run stops."""

    def __post_init__(self) -> None:
        check_choice("data.source", self.source, SOURCES)
        check_choice("data.carve", self.carve, ("auto", "documents", "position"))
        check_choice("data.on_bad", self.on_bad, ("error", "skip"))
        if self.source != "stdlib" and not self.path:
            raise UserError(f"data.path is missing: data.source={self.source} needs one")
        if self.separator == "":
            raise UserError('data.separator="" separates nothing; null makes a file one document')
        for key in ("validation_share", "test_share", "max_bad"):
            check_range(f"data.{key}", getattr(self, key), 0.0, 1.0, below_high=True)
        if not 0 < self.mask_share < 1:
            raise UserError(f"data.mask_share={self.mask_share} must be above 0 and below 1")
        if self.validation_share + self.test_share >= 1:
            raise UserError(
                f"data.validation_share={self.validation_share} and data.test_share="
                f"{self.test_share} leave no training text; lower them"
            )
        if self.limit is not None:
            check_range("data.limit", self.limit, 1, math.inf)
        if self.limit_mib is not None and not 0 < self.limit_mib < math.inf:
            raise UserError(f"data.limit_mib={self.limit_mib} must be above 0")

    @property
    def where(self) -> str:
        """The training text, for messages."""
        if self.source == "stdlib":
            return "the Python standard library"
        return ", ".join(self.path) if isinstance(self.path, list) else str(self.path)


@dataclass
class TokenizerConfig:
    """How text becomes tokens."""

    kind: Literal["bpe", "characters", "words", "bytes", "pretrained"] = "bpe"
    """``bpe``: byte-level byte-pair encoding, trained on the training split; any UTF-8 text can be
    encoded and comes back unchanged.
    ``characters``: one token for each character that occurs in the corpus.
    ``words``: one token for each word between white space, and ``<unk>`` for the others.
    ``bytes``: one token for each of the 256 bytes.
    ``pretrained``: the tokenizer of a run, of a folder or of the hub."""

    path: str | None = None
    """``pretrained`` only: a run folder, another folder, or a name on the hub. ``~`` and
    ``${VARIABLE}`` are expanded."""

    revision: str | None = None
    """``pretrained`` only: branch, tag or commit on the hub; fix it for runs to repeat."""

    vocabulary_size: int | None = None
    """``bpe``: number of tokens, the 256 bytes and the special tokens included; ``null``: 4096.
    ``words``: the largest number of tokens; ``null``: all words. A small corpus may give fewer."""

    min_frequency: int = 2
    """``bpe``: how often two tokens must stand side by side to be merged.
    ``words``: how often a word must occur to become a token."""

    sample_mib: float = 256.0
    """``bpe`` and ``words``: train on this much of the training text at most, in MiB, from its
    beginning."""

    pad_to_multiple_of: int = 1
    """The model's vocabulary is the tokenizer's, rounded up to a multiple of this; the paper's
    recipes make 50,304 of 50,257 with 64, which suits GPUs."""

    def __post_init__(self) -> None:
        check_choice("tokenizer.kind", self.kind, KINDS)
        if (self.kind == "pretrained") != (self.path is not None):
            raise UserError(
                f"tokenizer.kind={self.kind} and tokenizer.path={self.path} do not fit: "
                "pretrained needs a path, and the others take none"
            )
        if self.vocabulary_size is not None:
            check_range("tokenizer.vocabulary_size", self.vocabulary_size, 2, 2**31)
        check_range("tokenizer.min_frequency", self.min_frequency, 1, math.inf)
        check_range("tokenizer.pad_to_multiple_of", self.pad_to_multiple_of, 1, math.inf)
        if not 0 < self.sample_mib < math.inf:
            raise UserError(f"tokenizer.sample_mib={self.sample_mib} must be above 0")
