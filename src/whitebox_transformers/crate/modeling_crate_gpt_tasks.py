"""CRATE-GPT with the head of a Hugging Face task.

Legend: B batch, N tokens, D width, C classes.
"""

import torch
from torch import nn
from transformers import Cache
from transformers.utils.generic import can_return_tuple

from .cache_name import CACHE, either_cache_name, named
from .configuration_crate_gpt import CrateGPTConfig
from .heads_text import last_tokens
from .inputs_text import batch_shape
from .labels import check_sequence_labels
from .modeling_crate_gpt import CrateGPTModel, CrateGPTPreTrainedModel
from .outputs_text import CrateSequenceClassifierOutputWithPast, records


class CrateGPTForSequenceClassification(CrateGPTPreTrainedModel):
    """Classes or targets of whole sequences, read from the last token, which has seen the rest."""

    _keys_to_ignore_on_load_unexpected = [r"^lm_head\."]

    def __init__(self, config: CrateGPTConfig):
        super().__init__(config)
        assert config.num_labels is not None  # a configuration without names is given two
        self.num_labels = config.num_labels
        self.crate = CrateGPTModel(config)
        self.score = nn.Linear(config.hidden_size, config.num_labels, bias=False)
        self.post_init()

    @either_cache_name
    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs,
    ) -> CrateSequenceClassifierOutputWithPast:
        """Score sequences.

        The last token is the last that ``attention_mask`` (B, N) marks as one; without a mask the
        last that is not ``config.pad_token_id``.

        Args:
            input_ids: (B, N), and so on: as for
                :meth:`.modeling_crate_gpt.CrateGPTModel.forward`.
            attention_mask: As there.
            position_ids: As there.
            cache: As there.
            inputs_embeds: As there.
            token_type_ids: As there.
            labels: One class each (B,), several (B, C) between 0 and 1, or for regression (B,) or
                (B, C). ``config.problem_type`` says which; where it is ``None``, their number and
                type do.
            use_cache: As there.
            kwargs: Recording requests, as there, and what the loss takes.
        """
        if labels is not None:
            batch = batch_shape(input_ids, inputs_embeds)[0]
            labels = check_sequence_labels(labels, batch, self.config, self.training)
        outputs = self.crate(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=cache,
            inputs_embeds=inputs_embeds,
            token_type_ids=token_type_ids,
            use_cache=use_cache,
            **kwargs,
        )
        last = last_tokens(
            outputs.last_hidden_state, attention_mask, input_ids, self.config.pad_token_id
        )
        logits = self.score(last)
        loss = None
        if labels is not None:
            loss = self.loss_function(
                labels=labels, pooled_logits=logits, config=self.config, **kwargs
            )
        return CrateSequenceClassifierOutputWithPast(
            loss=loss,
            logits=logits,
            **named(outputs.get(CACHE)),
            **records(outputs),
        )


__all__ = ["CrateGPTForSequenceClassification"]
