"""Tokens that stand for no text: which an objective needs, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from whitebox_transformers.errors import UserError

Objective = Literal["causal", "masked", "classification"]

END_OF_TEXT = "<|endoftext|>"
# RoBERTa's names and numbers: begin 0, padding 1, end 2.
BEGIN, PADDING, END, MASK, UNKNOWN = "<s>", "<pad>", "</s>", "<mask>", "<unk>"


@dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of a new tokenizer."""

    names: tuple[str, ...]
    """In the order of their ids, from 0."""
    roles: dict[str, str]
    """Arguments of ``PreTrainedTokenizerFast``."""

    @classmethod
    def of(
        cls, objective: Objective, several_documents: bool = True, unknown: bool = False
    ) -> SpecialTokens:
        """What an objective needs.

        Args:
            objective: ``causal`` needs a token that ends a document, the others a frame, padding
                and a mask.
            several_documents: A single document needs no token that ends it.
            unknown: Whether there are texts that the other tokens do not cover.
        """
        roles: dict[str, str] = {}
        if objective != "causal":
            roles |= {"bos_token": BEGIN, "cls_token": BEGIN, "pad_token": PADDING}
            roles |= {"eos_token": END, "sep_token": END, "mask_token": MASK}
        elif several_documents:
            roles |= {"eos_token": END_OF_TEXT}
        if unknown:
            roles |= {"unk_token": UNKNOWN}
        return cls(tuple(dict.fromkeys(roles.values())), roles)


def require_special_tokens(
    tokenizer: PreTrainedTokenizerBase, objective: Objective, several_documents: bool, where: str
) -> None:
    """Make sure that a tokenizer made elsewhere has what an objective needs.

    A tokenizer without padding, such as GPT-2's, pads with the token that ends a text; attention
    and loss leave padding out whatever it is.

    Raises:
        UserError: It has not.
    """
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:
        tokenizer.pad_token = tokenizer.eos_token
    needed = ["pad_token"]
    if objective == "causal":
        needed = ["eos_token"] if several_documents else []
    elif objective == "masked":
        ends = several_documents and tokenizer.sep_token is None
        needed = ["mask_token", "eos_token"] if ends else ["mask_token"]
    for role in needed:
        if getattr(tokenizer, role) is None:
            raise UserError(
                f"{where} has no {role.replace('_', ' ')}, which {objective} training needs; "
                "choose another tokenizer"
            )


def end_of_document(tokenizer: PreTrainedTokenizerBase, objective: Objective) -> int | None:
    """Id of the token that stands between documents."""
    ids: Any = tokenizer  # its ids are typed as if they might be lists
    if objective == "causal" or ids.sep_token_id is None:
        return ids.eos_token_id
    return ids.sep_token_id
