"""ISTA equals its formula in every form, forward and backward, and is a proximal step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import operators as oracle

from whitebox_transformers.crate.configuration_crate import CrateConfig
from whitebox_transformers.crate.dictionary import draw_dictionary
from whitebox_transformers.crate.ista import (
    ISTA,
    Majorizer,
    OvercompleteISTA,
    gram_operator,
    ista,
    proximal_steps_from_zero,
    soft_threshold,
)

FORMS = ("tokens", "gram")
SHAPES = [(1, 1, 7), (3, 5, 7), (2, 33, 12), (17, 9), (1, 4, 1)]


def draw(shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    v = torch.randn(shape, generator=generator, dtype=torch.float64)
    width = shape[-1]
    dictionary = torch.randn(width, width, generator=generator, dtype=torch.float64) / width**0.5
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    return v.to(dtype), dictionary.to(dtype), weight.to(dtype)


def with_gradients(step, v, dictionary, weight):
    v, dictionary = v.clone().requires_grad_(), dictionary.clone().requires_grad_()
    out = step(v, dictionary)
    (out.float() * weight.float() if out.dtype == torch.bfloat16 else out * weight).sum().backward()
    return out.detach(), v.grad, dictionary.grad


def relative_error(value, reference):
    return float((value.double() - reference.double()).abs().max() / reference.abs().max())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("eta", "lam"), [(0.1, 0.1), (0.5, 0.02), (1.0, 2.0)])
def test_every_form_equals_the_three_product_formula_in_float64(form, shape, eta, lam):
    v, dictionary, weight = draw(shape)
    expected = with_gradients(lambda a, d: oracle.ista(a, d, eta, lam), v, dictionary, weight)
    found = with_gradients(lambda a, d: ista(a, d, eta, lam, form), v, dictionary, weight)
    for value, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(value, reference, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("dtype", "forward", "backward"),
    [(torch.float32, 1e-5, 1e-5), (torch.bfloat16, 3e-3, 3e-2)],
)
@pytest.mark.parametrize("shape", [(4, 50, 48), (3, 7, 96)])
def test_low_precision_stays_near_the_float64_formula(form, dtype, forward, backward, shape):
    v, dictionary, weight = draw(shape, dtype)
    exact = [t.double() for t in (v, dictionary, weight)]
    # Next to the kink of relu a rounding flips a whole gradient entry; look away from it.
    argument = exact[0] + 0.1 * (exact[0] - exact[0] @ exact[1].T) @ exact[1] - 0.01
    weight = weight * (argument.abs() > 0.02)
    exact[2] = weight.double()
    expected = with_gradients(lambda a, d: oracle.ista(a, d, 0.1, 0.1), *exact)
    found = with_gradients(lambda a, d: ista(a, d, 0.1, 0.1, form), v, dictionary, weight)
    # Rounding the exact result alone may cost more than the bound, just above a power of two.
    unavoidable = relative_error(expected[0].to(dtype), expected[0])
    assert relative_error(found[0], expected[0]) < max(forward, 1.5 * unavoidable)
    for value, reference in zip(found[1:], expected[1:], strict=True):
        assert value.dtype == dtype
        assert relative_error(value, reference) < backward


def test_the_gram_matrix_is_float32_inside_autocast_and_for_half_precision_weights():
    _, dictionary, _ = draw((4, 24), torch.float32)
    exact = gram_operator(dictionary.double(), 0.1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = gram_operator(dictionary, 0.1)
    assert inside.dtype == torch.float32
    assert relative_error(inside, exact) < 1e-6
    assert gram_operator(dictionary.bfloat16(), 0.1).dtype == torch.float32


def test_autocast_runs_the_token_product_in_half_precision_and_trains():
    v, dictionary, weight = draw((2, 40, 24), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = with_gradients(lambda a, d: ista(a, d, 0.1, 0.1, "gram"), v, dictionary, weight)
    expected = with_gradients(lambda a, d: oracle.ista(a, d, 0.1, 0.1), v, dictionary, weight)
    assert relative_error(found[0], expected[0]) < 3e-3
    assert relative_error(found[2], expected[2]) < 3e-2


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(4))
def test_autocast_rounds_the_products_and_nothing_after_them(form, seed):
    v, dictionary, _ = draw((40, 48), torch.float32, seed=seed)
    dictionary = dictionary * 2**0.5  # the variance of a fresh dictionary
    with torch.autocast("cpu", dtype=torch.bfloat16):
        codes = ista(v, dictionary, 0.1, 0.1, form)
    assert codes.dtype == torch.float32
    assert relative_error(codes, oracle.ista(v, dictionary, 0.1, 0.1)) < 2.3e-3


def test_gradients_of_gradients_agree_between_forms():
    v, dictionary, weight = draw((3, 6))

    def second_order(form):
        d = dictionary.clone().requires_grad_()
        (first,) = torch.autograd.grad(
            (ista(v, d, 0.3, 0.1, form) * weight).sum(), d, create_graph=True
        )
        return torch.autograd.grad(first.square().sum(), d)[0]

    torch.testing.assert_close(second_order("gram"), second_order("tokens"), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_learned_step_and_threshold_get_exact_gradients(form):
    v, dictionary, _ = draw((5, 6))
    eta = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    lam = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda e, t, d: ista(v, d, e, t, form), (eta, lam, dictionary.requires_grad_())
    )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 12), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_a_short_step_from_a_nonnegative_start_does_not_raise_the_lasso_objective(
    tokens, width, lam, seed
):
    v, dictionary, _ = draw((tokens, width), seed=seed)
    data = v.abs()
    eta = 1.0 / float(torch.linalg.matrix_norm(dictionary, 2)) ** 2

    def objective(codes):
        return 0.5 * (data - codes @ dictionary.T).square().sum() + lam * codes.abs().sum()

    assert objective(ista(data, dictionary, eta, lam)) <= objective(data) + 1e-9


def test_identity_dictionary_only_thresholds():
    v, _, _ = draw((6, 5))
    found = ista(v, torch.eye(5, dtype=v.dtype), 0.1, 0.1)
    torch.testing.assert_close(found, (v - 0.01).clamp(min=0))


def test_soft_threshold_shrinks_both_signs_and_zeroes_the_middle():
    x = torch.tensor([-2.0, -0.4, 0.0, 0.4, 2.0])
    torch.testing.assert_close(soft_threshold(x, 0.5), torch.tensor([-1.5, 0.0, 0.0, 0.0, 1.5]))


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("atoms", [3, 20])
def test_steps_from_zero_equal_the_formula(steps, atoms):
    v, _, _ = draw((2, 4, 6))
    dictionary = torch.randn(6, atoms, generator=torch.Generator().manual_seed(1)).double()
    weight = torch.randn(2, 4, atoms, generator=torch.Generator().manual_seed(2)).double()
    expected = with_gradients(
        lambda a, d: oracle.ista_from_zero(a, d, 0.1, 0.2, steps), v, dictionary, weight
    )
    found = with_gradients(
        lambda a, d: proximal_steps_from_zero(a, d, 0.1, 0.2, steps), v, dictionary, weight
    )
    for value, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(value, reference, rtol=1e-12, atol=1e-12)


def block(kind, **fields):
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 6, "num_attention_heads": 2}
    config = CrateConfig(**sizes | fields)
    module = kind(config).double()
    for parameter in module.parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(3))
    return module


def test_blocks_equal_their_formulas():
    v, _, _ = draw((2, 5, 6))
    published = block(ISTA, step_size=0.2, threshold=0.3)
    torch.testing.assert_close(
        published(v), oracle.ista(v, published.dictionary.detach(), 0.2, 0.3)
    )
    tied = block(OvercompleteISTA, sparsification="overcomplete", ista_iterations=3)
    codes = oracle.ista_from_zero(v, tied.dictionary.detach(), 0.1, 0.1, 3)
    torch.testing.assert_close(tied(v), codes @ tied.dictionary.T)
    separate = block(OvercompleteISTA, sparsification="overcomplete", synthesis="separate")
    codes = oracle.ista_from_zero(v, separate.dictionary.detach(), 0.1, 0.1, 2)
    torch.testing.assert_close(separate(v), codes @ separate.synthesis.T)
    appendix = block(Majorizer, sparsification="majorizer", coding_precision=0.5)
    torch.testing.assert_close(
        appendix(v), oracle.majorizer(v, appendix.dictionary.detach(), 0.1, 0.5)
    )


def test_a_dictionary_of_another_width_is_named():
    with pytest.raises(ValueError, match=r"\(7, 9\).*width 7"):
        ista(torch.zeros(2, 7), torch.zeros(7, 9), 0.1, 0.1)


@pytest.mark.parametrize(("width", "atoms"), [(7, 7), (6, 24), (1, 1)])
def test_an_orthogonal_dictionary_keeps_every_length(width, atoms):
    dictionary = torch.empty(width, atoms, dtype=torch.float64)
    draw_dictionary(dictionary, "orthogonal")
    torch.testing.assert_close(dictionary @ dictionary.T, torch.eye(width, dtype=torch.float64))


def test_on_an_orthogonal_dictionary_the_full_step_solves_the_lasso():
    """With D^T D = I the minimiser over a >= 0 is the thresholded correlation."""
    v, _, _ = draw((3, 5, 8))
    module = block(ISTA, hidden_size=8, dictionary_init="orthogonal", step_size=1.0, threshold=0.2)
    module.reset_parameters()
    torch.testing.assert_close(module(v), (v @ module.dictionary - 0.2).relu())


def test_both_dictionaries_are_drawn_as_configured():
    fields = {"sparsification": "overcomplete", "synthesis": "separate"}
    module = block(OvercompleteISTA, dictionary_init="orthogonal", **fields)
    module.reset_parameters()
    for drawn in (module.dictionary, module.synthesis):
        torch.testing.assert_close(drawn @ drawn.T, torch.eye(6, dtype=torch.float64))
    assert not torch.equal(module.dictionary, module.synthesis)


def test_a_second_dictionary_that_starts_at_zero_leaves_the_token_and_learns():
    fields = {"sparsification": "overcomplete", "synthesis": "separate", "synthesis_init": "zeros"}
    with pytest.raises(ValueError, match=r"synthesis_init='zeros'.*set ista_residual=True"):
        block(OvercompleteISTA, **fields)
    module = block(OvercompleteISTA, **fields, ista_residual=True)
    module.reset_parameters()
    v, _, _ = draw((2, 5, 6))
    (module(v) * v).sum().backward()
    assert not module(v).any()
    assert module.synthesis.grad.any()
