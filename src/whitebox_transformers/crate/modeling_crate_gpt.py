"""CRATE-GPT and CRATE-LM: causal language models on the family's layers.

Legend: B batch, N tokens, D width, K heads, L layers, V vocabulary.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers import Cache, DynamicCache, GenerationMixin
from transformers import initialization as init
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention import StepOutput
from .block import CrateStack
from .cache import SubspaceLayer  # noqa: F401  its file makes caches hold u once
from .cache_name import CACHE, either_cache_name, named
from .configuration_crate_gpt import CrateGPTConfig
from .counted_tokens import CountedTokens
from .embeddings_text import TextEmbeddings
from .inputs_text import batch_shape, check_text, check_token_types
from .labels import check_class_labels
from .masks import causal_mask
from .modeling_family import recording_requests
from .modeling_text import CrateTextPreTrainedModel, checked_positions, layer_positions
from .outputs_text import CrateCausalLMOutput, CrateGPTModelOutput, records
from .products import Linear

if TYPE_CHECKING:
    # Hugging Face ships a model's file and those whose names stand in it: thus a folder saved from
    # the language model loads as any task too.
    from .modeling_crate_gpt_tasks import (
        CrateGPTForSequenceClassification as CrateGPTForSequenceClassification,
    )


class CrateGPTPreTrainedModel(CrateTextPreTrainedModel):
    """Loading, saving and initialisation of the causal models.

    As the authors do, the output matrix of a compression step starts smaller by the square root of
    the 2 L additions to the residual stream; so does that of the MLP ablation, as in GPT-2.
    """

    config: CrateGPTConfig
    remote_classes = {
        "AutoModel": "modeling_crate_gpt.CrateGPTModel",
        "AutoModelForCausalLM": "modeling_crate_gpt.CrateGPTForCausalLM",
        "AutoModelForSequenceClassification": (
            "modeling_crate_gpt_tasks.CrateGPTForSequenceClassification"
        ),
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, StepOutput):
            std = self.config.initializer_range * (2 * self.config.num_hidden_layers) ** -0.5
            init.normal_(module.weight, std=std)


class CrateGPTModel(CrateGPTPreTrainedModel):
    """Embedding, L causal layers, and a final LayerNorm where the configuration has one."""

    def __init__(self, config: CrateGPTConfig):
        super().__init__(config)
        self.embeddings = TextEmbeddings(config)
        self.stack = CrateStack(config)
        self.norm = None
        if config.final_norm:
            self.norm = nn.LayerNorm(config.hidden_size, eps=config.final_norm_eps)
        self.post_init()

    @either_cache_name
    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs,
    ) -> CrateGPTModelOutput:
        """Run the layers.

        Args:
            input_ids: (B, N).
            attention_mask: (B, past + N), 1 for tokens and 0 for padding on either side; or a mask
                (B, 1, N, N'), boolean with True for allowed or added to the scores, that takes the
                place of the causal one. With ``compression='tssa'``, which compares no pairs, only
                the former.
            position_ids: (B, N); by default they count the real tokens. Where a position does not
                follow its predecessor, and there is no ``attention_mask``, a new document begins:
                attention and window stay inside it.
            cache: Cache that these tokens follow and enter, also as ``past_key_values``. With it,
                tokens of the past are taken to stand one after another.
            inputs_embeds: (B, N, D) in place of ids.
            token_type_ids: (B, N), read where ``type_vocab_size`` is not 0.
            use_cache: Return a cache.
            kwargs: ``output_hidden_states``, ``output_attentions``, ``output_z``,
                ``output_z_half``: True, or the layer indices wanted, as for
                :class:`.modeling_crate.CrateModel`. The last hidden state is the one after a final
                LayerNorm, ``z[L]`` the one before.

        Raises:
            ValueError: Ids outside the vocabulary, no tokens, or more than the context holds.
        """
        recording = recording_requests(self.config, kwargs)
        shape = check_text(input_ids, inputs_embeds, self.config, self.training)
        check_token_types(token_type_ids, shape, self.config, self.training)
        if use_cache and cache is None:
            cache = DynamicCache(config=self.config)
        past = 0 if cache is None else cache.get_seq_length()
        whole = position_ids is None and attention_mask is None
        position_ids = checked_positions(
            self.config, shape, past, attention_mask, position_ids, self.training
        ).to(self.device)
        z = self.embeddings(input_ids, position_ids, token_type_ids, inputs_embeds)
        documents = None if whole else position_ids
        mask = causal_mask(self.config, z, attention_mask, cache, documents)
        z = self.stack(
            z,
            mask,
            cache=cache,
            **layer_positions(self.config, position_ids, cache, whole, z.dtype),
            **recording,
            **kwargs,
        )
        return CrateGPTModelOutput(
            last_hidden_state=z if self.norm is None else self.norm(z),
            **named(cache if use_cache else None),
        )


class CrateGPTForCausalLM(CrateGPTPreTrainedModel, GenerationMixin):
    """The language model: next-token scores by the embedding matrix, or one of its own."""

    _tied_weights_keys = {"lm_head.weight": "crate.embeddings.word_embeddings.weight"}

    def __init__(self, config: CrateGPTConfig):
        super().__init__(config)
        self.crate = CrateGPTModel(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
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
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs,
    ) -> CrateCausalLMOutput:
        """Score the token after each token.

        Args:
            input_ids: (B, N), and so on: as for :meth:`CrateGPTModel.forward`.
            attention_mask: As there.
            position_ids: As there.
            cache: As there.
            inputs_embeds: As there.
            token_type_ids: As there.
            labels: Tokens (B, N), shifted inside: the loss compares the scores at a token with the
                label of the next. -100 is left out.
            use_cache: As there.
            logits_to_keep: Score only this many last tokens, or the tokens at these indices; 0
                means all.
            kwargs: Recording requests, as there, and what the loss takes.
        """
        vocabulary = self.config.vocab_size
        if labels is not None:
            shape = batch_shape(input_ids, inputs_embeds)
            check_class_labels(labels, shape, vocabulary, self.training)
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
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=vocabulary, **kwargs)
        return CrateCausalLMOutput(
            loss=loss,
            logits=logits,
            **named(outputs.get(CACHE)),
            **records(outputs),
        )

    @either_cache_name
    def generate(self, *args, cache: Cache | None = None, **kwargs):
        """Generate as Hugging Face does, from a cache by either of its names."""
        given = {} if cache is None else named(cache)
        return super().generate(*args, **given, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]

    @either_cache_name
    def create_masks_for_generate(
        self,
        config: CrateGPTConfig,
        inputs_embeds: torch.Tensor,
        attention_mask: torch.Tensor | None,
        cache: Cache | None = None,
        position_ids: torch.Tensor | None = None,
        **kwargs,
    ) -> torch.Tensor | CountedTokens | None:
        """The mask that ``generate`` makes ahead of a compiled call: one for all layers."""
        if config.compression == "tssa":  # reads the mask of padding itself
            return attention_mask
        return causal_mask(config, inputs_embeds, attention_mask, cache, position_ids)

    def _prepare_generated_length(self, generation_config, *args, **kwargs):
        """Refuse, before any work, to generate beyond the context."""
        prepare = super()._prepare_generated_length  # pyright: ignore[reportAttributeAccessIssue]
        prepared = prepare(generation_config, *args, **kwargs)
        context = self.config.max_position_embeddings
        if prepared.max_length is not None and prepared.max_length > context:
            raise ValueError(
                f"prompt and new tokens come to {prepared.max_length}, over the model's context of "
                f"{context} (max_position_embeddings); shorten the prompt or lower max_new_tokens."
            )
        return prepared


__all__ = [
    "CrateGPTForCausalLM",
    "CrateGPTModel",
    "CrateGPTPreTrainedModel",
]
