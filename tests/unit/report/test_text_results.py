"""A classifier of texts: what is shown of its samples is the samples alone, without padding."""

from __future__ import annotations

import pytest
import torch
from tests.unit.evaluation.tiny_language import byte_level, framed
from transformers import BertConfig, BertForSequenceClassification, DataCollatorWithPadding

from whitebox_transformers.report.text_examples import TextReader
from whitebox_transformers.report.text_results import TextGallery

PAIRS = [("the cat sat", "on the mat"), ("a dog", "the cat and the dog lay under the mat")]


class Pairs:
    """An addressed split of two pairs, with token types."""

    seed = 0

    def __init__(self, tokenizer, labels):
        self.tokenizer, self.labels = tokenizer, labels

    def __len__(self):
        return len(PAIRS)

    def __getitem__(self, index):
        encoded = self.tokenizer(*PAIRS[index], return_token_type_ids=True)
        return dict(encoded) | {"labels": self.labels[index]}

    def collate(self, samples):
        return dict(DataCollatorWithPadding(self.tokenizer)(samples))


@pytest.fixture
def tokenizer():
    tokenizer = framed(byte_level(pad_token="[PAD]"), "[CLS] $A [SEP]")
    specials = [(name, tokenizer.convert_tokens_to_ids(name)) for name in ("[CLS]", "[SEP]")]
    processor = tokenizer.backend_tokenizer.post_processor
    tokenizer.backend_tokenizer.post_processor = type(processor)(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=specials
    )
    return tokenizer


def classifier(tokenizer, **fields) -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=16,
        max_position_embeddings=64,
        vocab_size=len(tokenizer),
        initializer_range=0.5,
        **fields,
    )
    return BertForSequenceClassification(config).eval()


def test_pairs_are_shown_as_the_model_reads_them_alone(tokenizer):
    model = classifier(tokenizer, id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    split = Pairs(tokenizer, torch.tensor([1, 0]))
    examples = TextReader(tokenizer, "class", 64, seed=0).of_split(split, 2)
    gallery = TextGallery(examples, tokenizer, "class")
    attention = gallery.attention(model, model)
    model.set_attn_implementation("eager")
    by_text = {"".join(found.pieces): found for found in gallery.predictions(model)}
    assert len(by_text) == 2
    for pair, label in zip(PAIRS, ("yes", "no"), strict=True):
        encoded = tokenizer(*pair, return_tensors="pt", return_token_type_ids=True)
        with torch.no_grad():
            said = model(**encoded, output_attentions=True)
        found = by_text[f"[CLS]{pair[0]}[SEP]{pair[1]}[SEP]"]
        assert found.truth == label
        share = said.logits[0].softmax(-1)
        assert dict(found.ranking) == pytest.approx(
            {"no": share[0].item(), "yes": share[1].item()}, rel=1e-4
        )
        assert found.surprise == []
        (shown,) = [item for item in attention if item.pieces == found.pieces]
        assert shown.query == 0
        for layer, weights in shown.maps.items():
            recorded = said.attentions[layer - 1][0, :, 0]
            torch.testing.assert_close(torch.from_numpy(weights), recorded)


def test_a_regression_says_a_number_and_ranks_nothing(tokenizer):
    model = classifier(tokenizer, num_labels=1)
    split = Pairs(tokenizer, torch.tensor([2.5, 0.5]))
    examples = TextReader(tokenizer, "class", 64, seed=0).of_split(split, 2)
    gallery = TextGallery(examples, tokenizer, "class")
    assert [example.truth for example in examples] == [None, None]
    assert gallery.predictions(model) == []
    assert len(gallery.attention(model, model)) == 2
