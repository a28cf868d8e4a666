"""Every statement, in the order in which the derivation makes them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from whitebox_transformers.errors import UserError

from .statement import Result, Statement
from .statements.attention_only import attention_only_layer_denoises
from .statements.causality import later_tokens_do_not_matter
from .statements.denoising_by_gradient import exact_step_raises_snr
from .statements.denoising_by_mssa import mssa_raises_snr
from .statements.dictionary_inversion import dictionary_inverts_ista
from .statements.direction_of_mssa import mssa_lowers_compression_rate
from .statements.encoder_decoder import decoder_inverts_encoder
from .statements.equivariance import order_and_independence_of_tokens
from .statements.exact_descent import exact_step_compresses
from .statements.expansion_by_dictionary import dictionary_keeps_coding_rate
from .statements.gradient_direction import gradient_points_to_subspace
from .statements.gradients import closed_form_gradients
from .statements.ista_descent import ista_lowers_lasso
from .statements.ista_fixed_point import ista_with_identity_shrinks
from .statements.iterated_denoising import iterated_denoising_reaches_data
from .statements.low_rank_denoiser import denoiser_is_attention
from .statements.majorizer_step import majorizer_block_is_proximal
from .statements.mcr2_optimum import mcr2_optimum
from .statements.mixture_score import mixture_score
from .statements.neumann_series import neumann_series_converges
from .statements.parameter_counts import parameter_counts
from .statements.published_bounds import published_rate_bounds
from .statements.single_token import one_token_is_gated
from .statements.small_noise import small_noise_denoiser
from .statements.spanning_bases import bases_reproduce_tokens
from .statements.sylvester import rate_from_either_gram_matrix
from .statements.token_statistics_bound import variational_rate_bounds_coding_rate
from .statements.token_statistics_gradient import token_statistics_gradient
from .statements.tweedie import score_denoises

STATEMENTS: tuple[Statement[...], ...] = (
    rate_from_either_gram_matrix,
    closed_form_gradients,
    exact_step_compresses,
    published_rate_bounds,
    mcr2_optimum,
    neumann_series_converges,
    bases_reproduce_tokens,
    mssa_lowers_compression_rate,
    order_and_independence_of_tokens,
    one_token_is_gated,
    ista_lowers_lasso,
    ista_with_identity_shrinks,
    dictionary_keeps_coding_rate,
    majorizer_block_is_proximal,
    mixture_score,
    score_denoises,
    denoiser_is_attention,
    small_noise_denoiser,
    iterated_denoising_reaches_data,
    gradient_points_to_subspace,
    exact_step_raises_snr,
    mssa_raises_snr,
    decoder_inverts_encoder,
    dictionary_inverts_ista,
    attention_only_layer_denoises,
    token_statistics_gradient,
    variational_rate_bounds_coding_rate,
    later_tokens_do_not_matter,
    parameter_counts,
)


def chosen(only: Sequence[str]) -> list[Statement[...]]:
    """The statements asked for, in order; all of them if none is.

    Args:
        only: Numbers or names, several in one entry parted by commas.

    Raises:
        UserError: One of them is no statement.
    """
    by_name = {name: one for one in STATEMENTS for name in (str(one.number), one.name)}
    asked = [name.strip() for entry in only for name in entry.split(",")]
    for name in asked:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UserError(
                f"{name!r} is no statement; expected a number from 1 to {len(STATEMENTS)} or a "
                f"name such as {STATEMENTS[0].name}{hint}"
            )
    wanted = {by_name[name].number for name in asked} or {one.number for one in STATEMENTS}
    return [one for one in STATEMENTS if one.number in wanted]


def verify(statements: Sequence[Statement[...]] = STATEMENTS) -> Iterator[Result]:
    """Try statements with their default arguments, one result at a time."""
    for one in statements:
        yield one()
