"""CRATE-BERT is what its formulas say, whatever stands beside a sentence in its batch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny_bert import (
    END,
    HEADS,
    PAD,
    VARIANTS,
    VOCABULARY,
    padded,
    task_inputs,
    tiny_bert,
    tiny_config,
    tiny_text,
)
from tests.oracles.authors_language import bert_head, bert_pooled, bert_tokens

from whitebox_transformers.crate import (
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateBertForQuestionAnswering,
    CrateBertForSequenceClassification,
    CrateBertModel,
)

SENTENCES = [tiny_text(1, tokens, seed=tokens)["input_ids"][0] for tokens in (7, 3, 2, 5)]

# Our names -> the authors', for the oracle.
NAMES = {
    "embeddings.norm": "embeddings.LayerNorm",
    "stack.layers": "encoder.layer",
    "compress.norm": "attention.self.prenorm",
    "compress.mssa.subspaces": "attention.self.qkv",
    "compress.mssa.output": "attention.output.dense",
    "sparsify.norm": "output.prenorm",
    "sparsify.ista.dictionary": "output.weight",
    "lm_head.norm": "lm_head.layer_norm",
    "lm_head.decoder.bias": "lm_head.bias",
    "classifier.linear": "classifier.out_proj",
}


def authors_state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    state = {}
    for name, value in model.state_dict().items():
        for ours, theirs in NAMES.items():
            name = name.replace(ours, theirs)
        state[name] = value
    return state


@pytest.mark.parametrize(
    ("name", "encoder", "pooled", "masked_lm"),
    [
        ("crate-bert-base", 60_271_104, 60_861_696, 60_913_497),
        ("crate-bert-medium", 32_308_224, 32_570_880, 32_622_169),
    ],
)
def test_published_sizes(name: str, encoder: int, pooled: int, masked_lm: int) -> None:
    config = CrateBertConfig.from_preset(name)
    with torch.device("meta"):
        models = (
            CrateBertModel(config, add_pooling_layer=False),
            CrateBertModel(config),
            CrateBertForMaskedLM(config),
        )
    counts = [sum(p.numel() for p in model.parameters()) for model in models]
    assert counts == [encoder, pooled, masked_lm]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("head", HEADS)
@torch.no_grad()
def test_every_head_is_the_authors_formula(head: str, dtype: torch.dtype) -> None:
    model = tiny_bert(head=head).to(dtype)
    ids, mask = padded(SENTENCES, "right").values()
    types = (ids % 2) * mask
    prefix = "" if head == "encoder" else "crate."
    state = authors_state(model)
    z = bert_tokens(state, ids, heads=3, mask=mask, types=types, eps=1e-5, prefix=prefix)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
    if head == "choice":
        found = model(**{name: value[None] for name, value in inputs.items()}).logits.mT
    else:
        found = model(**inputs)
    if head == "encoder":
        torch.testing.assert_close(found.pooler_output, bert_pooled(state, z, prefix))
        torch.testing.assert_close(found.last_hidden_state[mask.bool()], z[mask.bool()])
        return
    theirs = {"masked-lm": "mlm"}.get(head, head)
    expected = bert_head(state, z, theirs, eps=1e-5, prefix=prefix)
    if head == "answers":
        found = torch.stack([found.start_logits, found.end_logits], dim=-1)
    elif head != "choice":
        found = found.logits
    real = mask.bool() if found.shape[:2] == mask.shape else ...
    torch.testing.assert_close(found[real], expected[real])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_padding_on_either_side_changes_nothing(variant: str, side: str) -> None:
    model = tiny_bert(variant, head="encoder").double()
    inputs = padded(SENTENCES, side, extra=2)
    together = model(**inputs)
    for row, sentence in enumerate(SENTENCES):
        alone = model(sentence[None])
        real = inputs["attention_mask"][row].bool()
        torch.testing.assert_close(
            together.last_hidden_state[row, real], alone.last_hidden_state[0]
        )
        torch.testing.assert_close(together.pooler_output[row], alone.pooler_output[0])


@pytest.mark.parametrize("head", ["sequence", "masked-lm", "answers"])
@torch.no_grad()
def test_heads_do_not_see_padding_either(head: str) -> None:
    model = tiny_bert(head=head).double()
    for side in ("left", "right"):
        inputs = padded(SENTENCES, side)
        together = model(**inputs)[0]
        for row, sentence in enumerate(SENTENCES):
            alone, found = model(sentence[None])[0][0], together[row]
            if head != "sequence":
                found = found[inputs["attention_mask"][row].bool()]
            torch.testing.assert_close(found, alone)


@pytest.mark.parametrize("variant", ["published", "rotary-window-without-self", "majorizer"])
def test_nothing_flows_back_to_padding(variant: str) -> None:
    model = tiny_bert(variant, head="encoder").double()
    inputs = padded(SENTENCES, "left")
    embeds = model.embeddings.word_embeddings(inputs["input_ids"]).detach().requires_grad_()
    mask = inputs["attention_mask"]
    z = model(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
    z[mask.bool()].square().sum().backward()
    assert embeds.grad[mask == 0].abs().max() == 0
    assert embeds.grad[mask == 1].abs().min() > 0


@torch.no_grad()
def test_vectors_in_place_of_ids() -> None:
    model = tiny_bert(head="encoder").double()
    for side in ("left", "right"):
        inputs = padded(SENTENCES, side)
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        embeds = model.embeddings.word_embeddings(ids)
        found = model(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
        expected = model(ids, mask).last_hidden_state
        torch.testing.assert_close(found[mask.bool()], expected[mask.bool()])


@pytest.mark.parametrize("variant", ["published", "rotary-window-without-self"])
@pytest.mark.parametrize("form", [torch.bool, torch.int64, torch.float64])
@torch.no_grad()
def test_documents_side_by_side_stay_apart_under_a_mask_of_pairs(variant: str, form) -> None:
    model = tiny_bert(variant, head="encoder").double()
    first, second = SENTENCES[0], SENTENCES[3]
    ids = torch.cat([first, second])[None]
    document = torch.cat([torch.zeros(7), torch.ones(5)])
    mask = (document[:, None] == document)[None, None]
    if form == torch.float64:
        mask = torch.zeros(1, 1, 12, 12).double().masked_fill(~mask, torch.finfo(form).min)
    positions = torch.cat([torch.arange(7), torch.arange(5)])[None] + PAD + 1
    z = model(ids, mask.to(form), position_ids=positions).last_hidden_state[0]
    for found, sentence in ((z[:7], first), (z[7:], second)):
        torch.testing.assert_close(found, model(sentence[None]).last_hidden_state[0])


@torch.no_grad()
def test_positions_are_those_of_real_tokens_from_the_first_after_padding() -> None:
    model = tiny_bert(head="encoder")
    ids = torch.tensor([[PAD, 0, 5, 2], [0, 5, 2, PAD]])
    rows = torch.tensor([[PAD, 2, 3, 4], [2, 3, 4, PAD]])
    for mask in (None, (ids != PAD).long()):
        given = model(ids, mask, position_ids=rows).last_hidden_state
        torch.testing.assert_close(model(ids, mask).last_hidden_state, given)


@torch.no_grad()
def test_a_model_without_a_padding_token_counts_from_zero() -> None:
    model = tiny_bert(head="encoder", pad_token_id=None)
    ids = torch.tensor([[0, 5, 1, 2]])
    given = model(ids, position_ids=torch.arange(4)[None]).last_hidden_state
    torch.testing.assert_close(model(ids).last_hidden_state, given)
    mask = torch.tensor([[0, 1, 1, 1]])
    given = model(ids, mask, position_ids=torch.tensor([[0, 0, 1, 2]])).last_hidden_state
    torch.testing.assert_close(model(ids, mask).last_hidden_state[:, 1:], given[:, 1:])


@torch.no_grad()
def test_a_full_position_table_is_not_exceeded_by_padding() -> None:
    model = tiny_bert(head="encoder")
    full = tiny_text(1, 12)["input_ids"][0]
    model(full[None])
    inputs = padded([full, SENTENCES[1]], "left", extra=3)
    z = model(**inputs).last_hidden_state
    torch.testing.assert_close(z[0, 3:], model(full[None]).last_hidden_state[0])


def refuse(message: str, head: str = "masked-lm", **inputs) -> None:
    """Refused before the embedding runs, by one line."""
    model = tiny_bert(head=head)
    encoder = model if head == "encoder" else model.crate
    encoder.embeddings.register_forward_pre_hook(lambda *_: pytest.fail("work was done"))
    for mode in (True, False):
        with pytest.raises(ValueError, match=message) as caught:
            model.train(mode)(**inputs)
        assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_refused_before_any_work() -> None:
    text = tiny_text()
    ids, mask = text["input_ids"], text["attention_mask"]
    longer = tiny_text(1, 13)["input_ids"]
    reads = r"13 tokens; the model reads at most 12 \(max_position_embeddings=14 less 2 rows"
    refuse(reads, input_ids=longer)
    refuse(reads, input_ids=torch.cat([longer, torch.full((1, 2), PAD)], 1))
    refuse("found neither", attention_mask=mask)
    refuse("at least one sequence", input_ids=ids[:0])
    refuse("at least one sequence", input_ids=ids[:, :0])
    refuse(
        r"input_ids\[0, 3\] = 20 is not in a vocabulary",
        input_ids=ids.index_fill(1, torch.tensor(3), 20),
    )
    refuse("attention_mask has shape", input_ids=ids, attention_mask=mask[:, 1:])
    refuse(r"token_type_ids\[0, 0\] = 2", input_ids=ids, token_type_ids=mask + 1)
    refuse(
        r"position_ids\[0, 0\] = 14 is not one of 14 positions",
        input_ids=ids,
        position_ids=mask * 14,
    )
    refuse(r"position_ids has shape \(2, 6\)", input_ids=ids, position_ids=mask[:, 1:])


def test_labels_that_do_not_fit_are_refused_before_any_work() -> None:
    ids = tiny_text()["input_ids"]
    refuse(r"labels\[0, 0\] = 20 is not one of 20", input_ids=ids, labels=ids * 0 + 20)
    refuse(r"labels has shape \(2,\)", input_ids=ids, labels=ids[:, 0])
    refuse("labels has type", input_ids=ids, labels=ids.float())
    refuse(r"one of 4 classes", "tokens", input_ids=ids, labels=ids * 0 + 4)
    refuse(r"one of 4 classes", "sequence", input_ids=ids, labels=torch.tensor([0, 4]))
    span = torch.tensor([-1, 3])
    refuse("start_positions", "answers", input_ids=ids, start_positions=span, end_positions=span)
    choices = ids[:, None].expand(2, 3, -1)
    refuse("one of 3 classes", "choice", input_ids=choices, labels=torch.tensor([0, 3]))
    refuse(r"\(batch, choices, tokens\); found \(2, 7\)", "choice", input_ids=ids)


def test_the_loss_of_masked_tokens_is_their_mean_cross_entropy() -> None:
    model = tiny_bert()
    inputs = task_inputs("masked-lm")
    labels = inputs["labels"].clone()
    labels[:, ::2] = -100
    outputs = model(**inputs | {"labels": labels})
    chosen = labels != -100
    expected = -outputs.logits.log_softmax(-1)[chosen, labels[chosen]].mean()
    torch.testing.assert_close(outputs.loss, expected)


@pytest.mark.parametrize(
    ("fields", "labels", "loss"),
    [
        ({}, torch.tensor([3, 1]), lambda x, y: -x.log_softmax(-1)[[0, 1], y].mean()),
        ({}, torch.tensor([[3], [1]]), lambda x, y: -x.log_softmax(-1)[[0, 1], y[:, 0]].mean()),
        (
            {},
            torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 0]]),
            lambda x, y: -(y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x)).mean(),
        ),
        (
            {"problem_type": "multi_label_classification"},
            torch.tensor([[1, 0, 0, 1], [0, 0, 1, 0]]),
            lambda x, y: -(y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x)).mean(),
        ),
        ({"num_labels": 1}, torch.tensor([0.5, -1]), lambda x, y: (x[:, 0] - y).square().mean()),
        ({"num_labels": 1}, torch.tensor([2, 3]), lambda x, y: (x[:, 0] - y).square().mean()),
        (
            {"problem_type": "regression"},
            torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 0]]),
            lambda x, y: (x - y).square().mean(),
        ),
    ],
    ids=["one", "one-column", "several", "several-whole", "target", "whole-target", "targets"],
)
def test_losses_of_sequences(fields, labels, loss) -> None:
    model = tiny_bert(head="sequence", **fields)
    outputs = model(**tiny_text(), labels=labels)
    torch.testing.assert_close(outputs.loss, loss(outputs.logits, labels))
    outputs.loss.backward()


def test_losses_of_tokens_spans_and_choices() -> None:
    inputs = task_inputs("tokens")
    outputs, labels = tiny_bert(head="tokens")(**inputs), inputs["labels"]
    real = labels != -100
    torch.testing.assert_close(
        outputs.loss, -outputs.logits.log_softmax(-1)[real, labels[real]].mean()
    )
    inputs = task_inputs("answers") | {"start_positions": torch.tensor([1, 7])}  # 7: beyond
    outputs = tiny_bert(head="answers")(**inputs)
    start = -outputs.start_logits.log_softmax(-1)[0, 1]
    end = -outputs.end_logits.log_softmax(-1)[[0, 1], inputs["end_positions"]].mean()
    torch.testing.assert_close(outputs.loss, (start + end) / 2)
    inputs = task_inputs("choice")
    outputs = tiny_bert(head="choice")(**inputs)
    assert outputs.logits.shape == (2, 2)
    expected = -outputs.logits.log_softmax(-1)[[0, 1], inputs["labels"]].mean()
    torch.testing.assert_close(outputs.loss, expected)


def test_dropout_in_front_of_a_classifier_is_its_own_or_the_encoders() -> None:
    for head in ("sequence", "tokens", "choice"):
        for own, expected in ((None, 0.2), (0.5, 0.5), (0.0, 0.0)):
            config = tiny_config(hidden_dropout_prob=0.2, classifier_dropout=own)
            model = HEADS[head](config)
            part = model.classifier if head == "sequence" else model
            assert part.dropout.p == expected
    with pytest.raises(ValueError, match=r"classifier_dropout=1.5 must be in \[0, 1\)"):
        tiny_config(classifier_dropout=1.5)


@pytest.mark.parametrize("variant", ["published", "majorizer", "rotary-window-without-self"])
def test_autocast_trains_with_finite_gradients(variant: str) -> None:
    model = tiny_bert(variant).train()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = model(**task_inputs("masked-lm"))
    assert outputs.loss.dtype == torch.float32
    outputs.loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32, name
        assert torch.isfinite(parameter.grad).all(), name


def test_fresh_weights_have_the_configured_spread() -> None:
    torch.manual_seed(0)
    config = tiny_config(hidden_size=96, vocab_size=500, initializer_range=0.05)
    model = CrateBertForSequenceClassification(config)
    layer = model.crate.stack.layers[0]
    for tensor, std in (
        (model.crate.embeddings.word_embeddings.weight, 0.05),
        (layer.compress.mssa.subspaces.weight, 0.05),
        (model.classifier.dense.weight, 0.05),
        (layer.sparsify.ista.dictionary, (2 / 96) ** 0.5),
    ):
        assert tensor.std().item() == pytest.approx(std, rel=0.06)
    assert model.classifier.dense.bias.eq(0).all()
    assert model.crate.embeddings.norm.weight.eq(1).all()


def test_question_answering_has_two_scores_whatever_the_number_of_labels() -> None:
    model = CrateBertForQuestionAnswering(tiny_config(num_labels=7))
    assert model.qa_outputs.out_features == 2


def test_a_larger_vocabulary_keeps_what_was_learnt() -> None:
    model = tiny_bert()
    text = tiny_text()
    before = model(**text).logits
    model.resize_token_embeddings(VOCABULARY + 3, mean_resizing=False)
    after = model(**text).logits
    assert model.lm_head.decoder.weight is model.crate.embeddings.word_embeddings.weight
    torch.testing.assert_close(after[..., :VOCABULARY], before)
    assert after.shape[-1] == VOCABULARY + 3 == model.config.vocab_size
    model(input_ids=torch.tensor([[0, VOCABULARY + 2, END]]))
