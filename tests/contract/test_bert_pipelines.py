"""A folder with a text model and its tokenizer is all that a pipeline needs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.contract.tiny_bert import tiny_bert
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, pipeline

WORDS = ["<s>", "<pad>", "</s>", "<mask>", "<unk>"]
WORDS += ["the", "cat", "sat", "on", "a", "mat", "and", "dog", "ran"]
NAMES = {0: "bad", 1: "good", 2: "odd", 3: "even"}
TEXTS = ["the cat sat", "a dog ran on the mat and the cat sat"]


def tokenizer(side: str = "right") -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        mask_token="<mask>", unk_token="<unk>", cls_token="<s>", sep_token="</s>",
        padding_side=side, model_max_length=12,
    )  # fmt: skip


@pytest.fixture(params=["right", "left"])
def folder(request, tmp_path):
    """Saves a model with the tokenizer; gives the folder's name."""
    words = tokenizer(request.param)

    def save(head: str) -> str:
        names = {"id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}
        tiny_bert(head=head, **names).save_pretrained(tmp_path)
        words.save_pretrained(tmp_path)
        return str(tmp_path)

    return save


@torch.no_grad()
def test_fill_mask(folder) -> None:
    fill = pipeline("fill-mask", folder("masked-lm"))
    together = fill(["the <mask> sat", "a dog <mask> on the mat and the cat sat"], top_k=20)
    assert [len(answers) for answers in together] == [20, 20]
    ids = fill.tokenizer("the <mask> sat", return_tensors="pt")
    scores = fill.model(**ids).logits[0, 2].softmax(-1)
    assert together[0][0]["token"] == scores.argmax().item()
    assert together[0][0]["score"] == pytest.approx(scores.max().item(), abs=1e-6)


@torch.no_grad()
def test_text_classification_in_a_padded_batch(folder) -> None:
    classify = pipeline("text-classification", folder("sequence"), top_k=None)
    together, alone = classify(TEXTS, batch_size=2), [classify(text) for text in TEXTS]
    for one, other in zip(together, alone, strict=True):
        other = other[0] if isinstance(other[0], list) else other
        assert [answer["label"] for answer in one] == [answer["label"] for answer in other]
        for answer, expected in zip(one, other, strict=True):
            assert answer["score"] == pytest.approx(expected["score"], abs=1e-5)
    pair = classify({"text": "the cat", "text_pair": "a dog"})
    assert {answer["label"] for answer in pair} == set(NAMES.values())


@torch.no_grad()
def test_token_classification(folder) -> None:
    tag = pipeline("token-classification", folder("tokens"))
    found = [tag(text) for text in TEXTS]
    words = [[answer["word"] for answer in answers] for answers in found]
    assert words == [text.split() for text in TEXTS]
    assert {answer["entity"] for answers in found for answer in answers} <= set(NAMES.values())


@torch.no_grad()
def test_features_come_through_the_encoder(folder) -> None:
    extract = pipeline("feature-extraction", folder("masked-lm"))
    assert np.asarray(extract(TEXTS[0])).shape == (1, 5, 12)
