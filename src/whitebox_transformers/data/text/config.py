"""What a recipe says about text: the ``data:`` block of language tasks."""

import math
from dataclasses import dataclass
from typing import Literal

from whitebox_transformers.data.config import check_choice, check_range
from whitebox_transformers.errors import UserError

SOURCES = ("stdlib", "file", "folder", "table", "hub")


@dataclass
class TextDataConfig:
    """Where the text is, what a document is, how it is split and how it is cut into samples."""

    source: Literal["stdlib", "file", "folder", "table", "hub"] = "stdlib"
    """``stdlib``: the source code of the Python standard library on this machine, nothing to
    download; a document is a file.
    ``file``: UTF-8 text files; a document is a file, or what ``separator`` ends.
    ``folder``: all files below a folder, or those that ``pattern`` names.
    ``table``: .csv, .tsv, .json, .jsonl and .parquet files; a document is a row.
    ``hub``: a data set name for the ``datasets`` library; a document is a row."""

    path: str | list[str] | None = None
    """The folder, or the file: a path, a pattern such as ``texts/*.txt``, or a list of both. ``~``
    and ``${VARIABLE}`` are expanded; an unset variable is an error. ``source: table`` takes both,
    of a folder the files by the splits that their names begin with. ``source: hub``: the data
    set's name. Unused by ``stdlib``."""

    validation_path: str | list[str] | None = None
    """The same for validation, of files and folders. ``null``: validation is carved from the
    training text, unless a folder of tables or a data set has such a split."""

    test_path: str | list[str] | None = None
    """The same for testing."""

    train_split: str | None = None
    """Hub and folders of tables: name of the training split. ``null``: ``train``."""

    validation_split: str | None = None
    """Name of the validation split. ``null``: ``validation``, ``valid``, ``val`` or ``dev``."""

    test_split: str | None = None
    """Name of the test split. ``null``: ``test`` or ``testing``."""

    subset: str | None = None
    """``source: hub`` only: the configuration of a data set that has several."""

    revision: str | None = None
    """``source: hub`` only: branch, tag or commit of the data set; fix it for runs to repeat."""

    pattern: str | None = None
    """``source: folder`` only: the files that count, e.g. ``*.txt``. ``null``: all of them."""

    separator: str | None = None
    """File and folder: what ends a document inside a file; ``"\\n"`` makes every line one.
    ``null``: a document is a whole file."""

    text_column: str | None = None
    """Table and hub: the column that holds the texts. ``null``: ``text``, ``sentence`` or the only
    one."""

    text_pair_column: str | None = None
    """Classification only: the column of the second texts, where pairs are classified."""

    label_column: str | None = None
    """Classification only: the column of class numbers or names. ``null``: ``label`` or
    ``labels``."""

    labels: list[str] | None = None
    """Classification only: class names in the order of their numbers. ``null``: the ClassLabel
    names stored with the data, or the labels of the training rows in sorted order."""

    regression: bool = False
    """Classification only: labels are numbers to be predicted instead of classes."""

    columns: list[str] | None = None
    """.csv and .tsv: names of the columns of files whose first line does not tell them."""

    quoted: bool | None = None
    """.csv and .tsv: whether double quotes enclose values that hold separators. ``null``: they do
    in .csv, and are plain characters in .tsv, as in GLUE's files."""

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

    streaming: bool = False
    """Read and tokenise the training text in passing, time and again: for corpora that do not fit
    in memory. Splits are carved by documents. Broken ones are skipped, counted and named."""

    shuffle_buffer: int = 1000
    """Streaming only: how many documents are held to draw from."""

    held_mib: float = 16.0
    """Streaming only: validation, test and the training text that is measured are the first so
    many MiB of theirs, held in memory."""

    cache_mib: float | None = 64.0
    """The tokens of a text of at least so many MiB are kept on disk, where the next run finds them
    by what they were made of. ``null``: those of no text."""

    cache_folder: str | None = None
    """Where. ``null``: below ``$XDG_CACHE_HOME`` or ``~/.cache``. It may be deleted at any time
    when no run reads it."""

    on_bad: Literal["error", "skip"] = "error"
    """What to do with documents that are not UTF-8 text: stop and list them, or leave them out.
    Streams always leave them out."""

    max_bad: float = 0.001
    """Largest share of such documents that may be left out; beyond it the run stops."""

    def __post_init__(self) -> None:
        check_choice("data.source", self.source, SOURCES)
        check_choice("data.carve", self.carve, ("auto", "documents", "position"))
        check_choice("data.on_bad", self.on_bad, ("error", "skip"))
        if self.source != "stdlib" and not self.path:
            raise UserError(f"data.path is missing: data.source={self.source} needs one")
        if self.source == "hub" and not (
            isinstance(self.path, str) and self.validation_path is self.test_path is None
        ):
            raise UserError(
                f"data.path={self.path}: data.source=hub takes the name of one data set; name its "
                "splits with data.validation_split and data.test_split"
            )
        if self.regression and self.labels:
            raise UserError("data.labels names classes, which data.regression=true has not")
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
        if self.streaming and self.carve == "position":
            raise UserError(
                "data.carve=position needs the length of the whole text, which a stream has not; "
                "set data.carve=documents or data.streaming=false"
            )
        check_range("data.shuffle_buffer", self.shuffle_buffer, 1, math.inf)
        if not 0 < self.held_mib < math.inf:
            raise UserError(f"data.held_mib={self.held_mib} must be above 0")
        if self.cache_mib is not None:
            check_range("data.cache_mib", self.cache_mib, 0.0, math.inf)
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

    def place_of(self, role: str) -> str:
        """The text of a split, for messages."""
        path = getattr(self, f"{role}_path", None) or self.where
        return ", ".join(path) if isinstance(path, list) else path
