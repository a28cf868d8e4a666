"""Tokenizers: round trips, determinism, special tokens, and cutting that changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from whitebox_transformers.data.text import TokenizerConfig, check_vocabulary
from whitebox_transformers.data.text.chunks import chunks
from whitebox_transformers.data.text.documents import Text
from whitebox_transformers.data.text.encode import Encoder
from whitebox_transformers.data.text.tokenizer import train_tokenizer
from whitebox_transformers.errors import UserError

from .conftest import build, prose

CORPUS = [prose(seed, 200) for seed in range(10)]


def tokenizer_of(kind="bpe", objective="causal", size=400, several=True, **config):
    made = TokenizerConfig(kind=kind, vocabulary_size=size, **config)
    return train_tokenizer(made, objective, CORPUS, set("".join(CORPUS)), several, 64)


BPE = {objective: tokenizer_of(objective=objective) for objective in ("causal", "masked")}
utf8 = st.text(st.characters(codec="utf-8"), max_size=200)


@pytest.mark.parametrize("objective", ["causal", "masked"])
@given(text=utf8)
@example(text=" <|endoftext|><s></s><mask> \r\n\t  x  y\u00a0\n\n \u2028 𝔘 e\u0301 ﬁ don't 'S")
@example(text="")
def test_any_text_comes_back_from_byte_level_bpe(objective, text):
    tokenizer = BPE[objective]
    (encoded,) = Encoder(tokenizer).encode([Text("", text, 0)])
    assert tokenizer.decode(encoded.ids) == text
    assert not set(encoded.ids.tolist()) & set(tokenizer.all_special_ids)
    assert encoded.bytes == len(text.encode())


@given(utf8)
def test_bytes_of_the_first_token_are_exact(text):
    tokenizer = BPE["causal"]
    (encoded,) = Encoder(tokenizer).encode([Text("", text, 0)])
    if len(encoded.ids):
        # Of a split character decode shows nothing, so the token's own name is asked.
        name = tokenizer.convert_ids_to_tokens(int(encoded.ids[0]))
        assert encoded.first_bytes == len(name)


def test_training_is_the_same_in_another_process_with_other_threads():
    program = (
        "from tests.unit.data.text.test_tokenizers import tokenizer_of;"
        "print(tokenizer_of().backend_tokenizer.to_str())"
    )
    env = {"RAYON_NUM_THREADS": "3", "TOKENIZERS_PARALLELISM": "true", "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(BPE["causal"].backend_tokenizer.to_str())


@pytest.mark.parametrize("kind", ["bpe", "characters", "words"])
@given(st.lists(st.sampled_from(["a", "b", "\n", "\n\n", " ", "é", ".", "\t", "1", "'s", "\r\n"])))
def test_cutting_a_document_changes_no_token(kind, parts):
    text = "".join(parts)
    tokenizer = tokenizer_cutting(kind)
    pieces = [*chunks(text, 3)]
    assert "".join(pieces) == text
    encode = tokenizer.backend_tokenizer.encode
    cut = [token for piece in pieces for token in encode(piece, add_special_tokens=False).ids]
    assert cut == encode(text, add_special_tokens=False).ids


CUTTING = {}


def tokenizer_cutting(kind):
    if kind not in CUTTING:
        corpus = ["a\n\n b\n\té.1's \r\n aa\nbb a  b\n\n\nab 's11 \n b"] * 3
        config = TokenizerConfig(kind=kind, vocabulary_size=330)
        alphabet = set("".join(corpus))
        CUTTING[kind] = train_tokenizer(config, "causal", corpus, alphabet, True, 64)
    return CUTTING[kind]


def test_long_documents_are_cut(monkeypatch):
    text = "\n".join(prose(seed, 400) for seed in range(20))
    whole = BPE["causal"].backend_tokenizer.encode(text, add_special_tokens=False).ids
    assert len([*chunks(text, 1000)]) > 20
    monkeypatch.setattr("whitebox_transformers.data.text.chunks.SIZE", 1000)
    (encoded,) = Encoder(BPE["causal"]).encode([Text("", text, 0)])
    assert np.array_equal(encoded.ids, whole)


@pytest.mark.parametrize(
    ("kind", "objective"), [("bpe", "causal"), ("characters", "masked"), ("bytes", "masked")]
)
def test_the_saved_tokenizer_is_found_by_auto_tokenizer(tmp_path, kind, objective):
    tokenizer = tokenizer_of(kind, objective)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = CORPUS[0]
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.model_max_length == 64


def test_special_tokens_of_each_objective():
    causal, masked = BPE["causal"], BPE["masked"]
    assert causal.eos_token_id == 0
    assert (masked.bos_token_id, masked.pad_token_id, masked.eos_token_id) == (0, 1, 2)
    assert (masked.cls_token_id, masked.sep_token_id, masked.mask_token_id) == (0, 2, 3)
    a, b = masked("few", add_special_tokens=False)["input_ids"], masked("of")["input_ids"][1:-1]
    assert masked("few")["input_ids"] == [0, *a, 2]
    assert masked("few", "of")["input_ids"] == [0, *a, 2, 2, *b, 2]
    assert tokenizer_of("characters", several=False).all_special_ids == []


def test_vocabulary_sizes():
    assert len(tokenizer_of(size=300)) == 300
    with pytest.raises(UserError, match="vocabulary_size=256 is too small.*1 special tokens.*257"):
        tokenizer_of(size=256)
    few = tokenizer_of(size=50_000)  # more than the corpus gives
    assert 300 < len(few) < 50_000
    check_vocabulary(few, len(few), "model.config")
    check_vocabulary(few, 50_304, "model.config")
    with pytest.raises(UserError, match=r"model\.config: .* number \d+, but the model knows 300"):
        check_vocabulary(few, 300, "model.config")


def test_bytes_are_a_vocabulary_of_256():
    tokenizer = tokenizer_of("bytes", several=False)
    text = "naïve 🙂\n"
    (encoded,) = Encoder(tokenizer).encode([Text("", text, 0)])
    assert len(tokenizer) == 256
    assert len(encoded.ids) == encoded.bytes == len(text.encode())
    assert tokenizer.decode(encoded.ids) == text


def test_words_lie_between_white_space_and_rare_ones_are_unknown():
    # Many corpora, as the Penn Treebank, have <unk> in them as a word.
    corpus = ["the rate of the\n <unk> token", " the <unk>\tof rate. <s>"]
    config = TokenizerConfig(kind="words", min_frequency=2)
    tokenizer = train_tokenizer(config, "causal", corpus, set(), True, 64)
    assert set(tokenizer.get_vocab()) == {"<|endoftext|>", "<unk>", "the", "of"}
    assert sorted(tokenizer.get_vocab().values()) == [0, 1, 2, 3]
    text = Text("", "\n the  rate <unk> of <|endoftext|>\n", 0)
    (encoded,) = Encoder(tokenizer).encode([text])
    known = tokenizer.get_vocab()
    names = ["the", "<unk>", "<unk>", "of"]
    assert encoded.ids.tolist()[:4] == [known[name] for name in names]
    assert encoded.first_bytes == len("\n the  ")
    limited = tokenizer_of("words", size=5)
    assert len(limited) == 5


def test_a_stored_tokenizer_is_used_as_it_is(folder, tmp_path):
    BPE["masked"].save_pretrained(tmp_path / "run")
    kwargs = {"kind": "pretrained", "tokenizer_path": str(tmp_path / "run"), "objective": "masked"}
    data = build(folder, **kwargs)
    assert data.tokenizer.get_vocab() == BPE["masked"].get_vocab()
    tokenizer_of(several=False).save_pretrained(tmp_path / "endless")
    with pytest.raises(UserError, match=r"tokenizer\.path=.*/endless: this tokenizer has no eos"):
        build(folder, kind="pretrained", tokenizer_path=str(tmp_path / "endless"))


def test_a_tokenizer_that_is_not_there(folder, tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.path=.*/none: cannot load a tokenizer"):
        build(folder, kind="pretrained", tokenizer_path=str(tmp_path / "none"))
    with pytest.raises(UserError, match="pretrained needs a path, and the others take none"):
        TokenizerConfig(kind="pretrained")
    with pytest.raises(UserError, match="pretrained needs a path, and the others take none"):
        TokenizerConfig(path="runs/x")


def test_an_unknown_character_is_named():
    with pytest.raises(UserError, match=r"page: the tokenizer has no token for 'ß' \(character 2"):
        list(Encoder(tokenizer_of("characters")).encode([Text("page", "a ß", 0)]))


def test_a_worker_process_is_forked_without_a_warning(folder, capfd, monkeypatch):
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    build(folder, "bpe", tokenizer_vocabulary_size=300)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert "parallelism" not in capfd.readouterr().err
