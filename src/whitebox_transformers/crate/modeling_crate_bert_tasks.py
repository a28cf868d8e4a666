"""CRATE-BERT with the heads of Hugging Face's tasks.

Legend: B batch, N tokens, D width, C classes.

The arguments that are not documented here are those of :meth:`CrateBertModel.forward`. Labels are
checked before the encoder runs.
"""

import torch
from torch import nn
from transformers.loss.loss_utils import fixed_cross_entropy
from transformers.utils.generic import can_return_tuple

from .configuration_crate_bert import CrateBertConfig
from .heads_text import SequenceHead, first_tokens, head_dropout
from .inputs_text import batch_shape
from .labels import check_class_labels, check_sequence_labels, check_span
from .modeling_crate_bert import CrateBertModel, CrateBertPreTrainedModel
from .outputs_text import (
    CrateMultipleChoiceOutput,
    CrateQuestionAnsweringOutput,
    CrateSequenceClassifierOutput,
    CrateTokenClassifierOutput,
    records,
)

WITHOUT_POOLER = [r"^lm_head\.", r"pooler"]


class CrateBertForSequenceClassification(CrateBertPreTrainedModel):
    """Classes or targets of whole sequences, read from the first token."""

    _keys_to_ignore_on_load_unexpected = WITHOUT_POOLER

    def __init__(self, config: CrateBertConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.crate = CrateBertModel(config, add_pooling_layer=False)
        self.classifier = SequenceHead(config)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateSequenceClassifierOutput:
        """Score sequences.

        ``labels`` are for one class each (B,), for several classes (B, C) between 0 and 1, for
        regression (B,) or (B, C). ``config.problem_type`` says which; where it is ``None``, their
        number and type do.
        """
        if labels is not None:
            batch = batch_shape(input_ids, inputs_embeds)[0]
            labels = check_sequence_labels(labels, batch, self.config, self.training)
        outputs = self.crate(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, **kwargs
        )
        logits = self.classifier(first_tokens(outputs.last_hidden_state, attention_mask))
        loss = None
        if labels is not None:
            loss = self.loss_function(
                labels=labels, pooled_logits=logits, config=self.config, **kwargs
            )
        return CrateSequenceClassifierOutput(loss=loss, logits=logits, **records(outputs))


class CrateBertForTokenClassification(CrateBertPreTrainedModel):
    """A class for every token."""

    _keys_to_ignore_on_load_unexpected = WITHOUT_POOLER

    def __init__(self, config: CrateBertConfig):
        super().__init__(config)
        assert config.num_labels is not None  # a configuration without names is given two
        self.num_labels = config.num_labels
        self.crate = CrateBertModel(config, add_pooling_layer=False)
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateTokenClassifierOutput:
        """Score tokens; ``labels`` (B, N) are class indices, -100 at tokens that do not count."""
        if labels is not None:
            shape = batch_shape(input_ids, inputs_embeds)
            check_class_labels(labels, shape, self.num_labels, self.training)
        outputs = self.crate(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, **kwargs
        )
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, self.config, **kwargs)
        return CrateTokenClassifierOutput(loss=loss, logits=logits, **records(outputs))


class CrateBertForQuestionAnswering(CrateBertPreTrainedModel):
    """Where the answer starts and ends among the tokens."""

    _keys_to_ignore_on_load_unexpected = WITHOUT_POOLER

    def __init__(self, config: CrateBertConfig):
        super().__init__(config)
        self.crate = CrateBertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateQuestionAnsweringOutput:
        """Score every token as start and as end.

        ``start_positions`` and ``end_positions`` (B,) are the indices of the answer's first and
        last token; an index from N on leaves the sequence out of the loss.
        """
        if start_positions is not None and end_positions is not None:
            batch = batch_shape(input_ids, inputs_embeds)[0]
            check_span(start_positions, end_positions, batch, self.training)
        outputs = self.crate(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, **kwargs
        )
        start_logits, end_logits = self.qa_outputs(outputs.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(
                start_logits, end_logits, start_positions, end_positions, **kwargs
            )
        return CrateQuestionAnsweringOutput(
            loss=loss, start_logits=start_logits, end_logits=end_logits, **records(outputs)
        )


class CrateBertForMultipleChoice(CrateBertPreTrainedModel):
    """Which of several sequences fits best, read from the pooled first token of each."""

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]

    def __init__(self, config: CrateBertConfig):
        super().__init__(config)
        self.crate = CrateBertModel(config)
        self.dropout = head_dropout(config)
        self.classifier = nn.Linear(config.hidden_size, 1)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateMultipleChoiceOutput:
        """Score choices: inputs (B, choices, N), ``labels`` (B,) the index of the right one."""
        shape = batch_shape(input_ids, inputs_embeds)
        if len(shape) != 3:
            raise ValueError(
                f"multiple choice takes inputs of shape (batch, choices, tokens); found {shape}."
            )
        batch, choices, _ = shape
        if labels is not None:
            check_class_labels(labels, (batch,), choices, self.training)
        inputs = (input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds)
        flat = [None if one is None else one.flatten(0, 1) for one in inputs]
        outputs = self.crate(*flat, **kwargs)
        logits = self.classifier(self.dropout(outputs.pooler_output)).view(batch, choices)
        loss = None
        if labels is not None:
            labels = labels.to(logits.device)
            loss = fixed_cross_entropy(logits.float(), labels, **kwargs)
        return CrateMultipleChoiceOutput(loss=loss, logits=logits, **records(outputs))


__all__ = [
    "CrateBertForMultipleChoice",
    "CrateBertForQuestionAnswering",
    "CrateBertForSequenceClassification",
    "CrateBertForTokenClassification",
]
