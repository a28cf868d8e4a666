"""CRATE-BERT: the bidirectional encoder of text, and the masked language model.

Legend: B batch, N tokens, D width, V vocabulary.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .block import CrateStack
from .configuration_crate_bert import CrateBertConfig
from .embeddings_text import TextEmbeddings
from .heads_text import MaskedLMHead, Pooler, first_tokens
from .inputs_text import (
    batch_shape,
    check_attention_mask,
    check_text,
    check_token_types,
    is_padding_mask,
)
from .labels import check_class_labels
from .masks import bidirectional_mask
from .modeling_family import recording_requests
from .modeling_text import CrateTextPreTrainedModel
from .outputs_text import CrateMaskedLMOutput, CrateTextOutput, records
from .places import check_length, check_position_ids, first_position, places
from .rotary import Rotary, rotation

if TYPE_CHECKING:
    # Hugging Face ships a model's file and those whose names stand in it: thus a folder saved from
    # the encoder loads as any task too.
    from .modeling_crate_bert_tasks import (
        CrateBertForTokenClassification as CrateBertForTokenClassification,
    )


class CrateBertPreTrainedModel(CrateTextPreTrainedModel):
    """Loading, saving and initialisation of the bidirectional models."""

    config: CrateBertConfig
    _no_split_modules = ["CrateLayer", "TextEmbeddings"]
    remote_classes = {
        "AutoModel": "modeling_crate_bert.CrateBertModel",
        "AutoModelForMaskedLM": "modeling_crate_bert.CrateBertForMaskedLM",
    } | {
        f"AutoModelFor{task}": f"modeling_crate_bert_tasks.CrateBertFor{task}"
        for task in (
            "MultipleChoice",
            "QuestionAnswering",
            "SequenceClassification",
            "TokenClassification",
        )
    }


class CrateBertModel(CrateBertPreTrainedModel):
    """The encoder: tokens, positions and token types to Z^0, then L white-box layers.

    Padding, on either side, changes nothing about the other tokens.
    """

    # The checkpoint of a model with a head is a fine source for its encoder.
    _keys_to_ignore_on_load_unexpected = [r"^lm_head\.", r"^classifier\.", r"^qa_outputs\."]

    def __init__(self, config: CrateBertConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        self.embeddings = TextEmbeddings(config)
        self.stack = CrateStack(config)
        self.norm = None
        if config.final_norm:
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.final_norm_eps)
        self.pooler = Pooler(config) if add_pooling_layer else None
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **kwargs,
    ) -> CrateTextOutput:
        """Run the encoder.

        Args:
            input_ids: (B, N).
            attention_mask: (B, N), 1 for tokens and 0 for padding; or (B, 1, N, N), boolean with
                True for allowed, or added to the scores.
            token_type_ids: (B, N); zeros by default.
            position_ids: (B, N), rows of the position table. By default tokens count from
                ``pad_token_id + 1`` and padding stays at ``pad_token_id``.
            inputs_embeds: Token vectors (B, N, D) in place of ids.
            kwargs: ``output_hidden_states``, ``output_attentions``, ``output_z``,
                ``output_z_half``, as for :meth:`.modeling_crate.CrateModel.forward`.

        Raises:
            ValueError: Before any layer runs: nothing to read, ids, types or positions that the
                model does not have, a mask of another shape, or a sequence longer than the
                position table.
        """
        recording = recording_requests(self.config, kwargs)
        shape = check_text(input_ids, inputs_embeds, self.config, self.training)
        check_attention_mask(attention_mask, *shape)
        check_token_types(token_type_ids, shape, self.config, self.training)
        if input_ids is not None:
            self.warn_if_padding_and_no_attention_mask(input_ids, attention_mask)
        place = self.places(input_ids, attention_mask, position_ids, shape)
        if position_ids is None:
            position_ids = (place + first_position(self.config)).clamp(min=0)
        z = self.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        mask = bidirectional_mask(self.config, z, attention_mask)
        if self.config.sparsification == "majorizer" and is_padding_mask(attention_mask):
            kwargs["token_count"] = attention_mask.sum(1)[:, None, None]
        z = self.stack(
            z,
            mask,
            position_ids=place,
            rotary=self.rotary(place, z),
            key_positions=place,
            **recording,
            **kwargs,
        )
        if self.norm is not None:
            z = self.norm(z)
        pooled = None if self.pooler is None else self.pooler(first_tokens(z, attention_mask))
        return CrateTextOutput(last_hidden_state=z, pooler_output=pooled)

    def places(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None,
        position_ids: torch.Tensor | None,
        shape: tuple[int, int],
    ) -> torch.Tensor:
        """Where tokens stand in their sentence, from 0, and -1 at padding; checked."""
        if position_ids is not None:
            check_position_ids(position_ids, shape, self.config, self.training)
            return position_ids - first_position(self.config)
        pad = self.config.pad_token_id
        place = places(input_ids, attention_mask, shape, pad, self.device)
        check_length(place, self.config)
        return place

    def rotary(self, place: torch.Tensor, z: torch.Tensor) -> Rotary | None:
        """Rotations of the tokens that are compared, where the configuration has them."""
        if self.config.position_embedding_type != "rotary":
            return None
        assert self.config.head_dim is not None  # filled in by the configuration
        turned = rotation(place, self.config.head_dim, self.config.rope_theta, z.dtype)
        return Rotary(turned, turned)


class CrateBertForMaskedLM(CrateBertPreTrainedModel):
    """The masked language model: encoder and a vocabulary head tied to the embedding."""

    _tied_weights_keys = {"lm_head.decoder.weight": "crate.embeddings.word_embeddings.weight"}
    _keys_to_ignore_on_load_unexpected = [r"pooler"]

    def __init__(self, config: CrateBertConfig):
        super().__init__(config)
        self.crate = CrateBertModel(config, add_pooling_layer=False)
        self.lm_head = MaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head.decoder

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        self.lm_head.decoder = new_embeddings

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
    ) -> CrateMaskedLMOutput:
        """Score the vocabulary at every token.

        ``labels`` (B, N) are the ids of the tokens to be found, -100 where none is. The other
        arguments are those of :meth:`CrateBertModel.forward`.
        """
        vocabulary = self.config.vocab_size
        if labels is not None:
            shape = batch_shape(input_ids, inputs_embeds)
            check_class_labels(labels, shape, vocabulary, self.training)
        outputs = self.crate(
            input_ids, attention_mask, token_type_ids, position_ids, inputs_embeds, **kwargs
        )
        logits = self.lm_head(outputs.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=vocabulary, **kwargs)
        return CrateMaskedLMOutput(loss=loss, logits=logits, **records(outputs))


__all__ = ["CrateBertForMaskedLM", "CrateBertModel", "CrateBertPreTrainedModel"]
