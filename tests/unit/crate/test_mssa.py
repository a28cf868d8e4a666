"""MSSA equals its formula for every output matrix and attention implementation."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import operators as oracle

from whitebox_transformers.crate.configuration_crate import CrateConfig
from whitebox_transformers.crate.mssa import MSSA, Subspaces

OUTPUTS = ("learned", "tied", "transpose", "fixed", "identity")


def operator(output="learned", implementation="eager", width=12, heads=3, head_dim=None, **fields):
    config = CrateConfig(
        image_size=8,
        patch_size=4,
        hidden_size=width,
        num_attention_heads=heads,
        head_dim=head_dim,
        mssa_output=output,
        **fields,
    )
    config._attn_implementation = implementation
    module = MSSA(config).double()
    generator = torch.Generator().manual_seed(5)
    for tensor in module.state_dict().values():
        tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=torch.float64))
    return module


def tokens(batch=2, count=9, width=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, count, width, generator=generator, dtype=torch.float64)


def expected_output(module, z):
    weight = module.subspaces.weight
    averages = oracle.subspace_attention(z, weight, module.subspaces.heads)
    kind = module.config.mssa_output
    if kind == "tied":  # sum_k U_k SSA_k, written out
        split = averages.unflatten(-1, (module.subspaces.heads, -1))
        bases = weight.unflatten(0, (module.subspaces.heads, -1))  # U_k^T
        return sum(split[..., k, :] @ bases[k] for k in range(module.subspaces.heads))
    if kind == "transpose":
        return averages @ weight.T
    if kind == "identity":
        return averages
    bias = module.output.bias if kind == "learned" else 0
    return averages @ module.output.weight.T + bias


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_equals_the_formula_forward_and_backward(output, implementation):
    module, reference = operator(output, implementation), operator(output)
    z, twin = tokens().requires_grad_(), tokens().requires_grad_()
    weight = tokens(seed=9)
    found, expected = module(z), expected_output(reference, twin)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
    (found * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(z.grad, twin.grad, rtol=1e-10, atol=1e-10)
    for (name, a), (_, b) in zip(
        module.named_parameters(), reference.named_parameters(), strict=True
    ):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize("head_dim", [1, 5, 16])
def test_subspaces_need_not_fill_the_width(head_dim):
    module = operator(head_dim=head_dim)
    z = tokens(1, 7)
    torch.testing.assert_close(module(z), expected_output(module, z))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(1, 8), st.integers(0, 1000))
def test_permuting_tokens_permutes_the_result(count, seed):
    module, z = operator(), tokens(2, count, seed=seed)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(module(z)[:, order], module(z[:, order]))


def test_masked_tokens_do_not_reach_the_others():
    module, z = operator(), tokens(1, 6)
    allowed = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    allowed[..., 4:] = False
    short = module(z[:, :4])
    torch.testing.assert_close(module(z, allowed)[:, :4], short)
    additive = torch.zeros(1, 1, 6, 6, dtype=z.dtype).masked_fill(~allowed, float("-inf"))
    torch.testing.assert_close(module(z, additive)[:, :4], short)


def test_one_token_attends_to_itself():
    module, z = operator("tied"), tokens(1, 1)
    weight = module.subspaces.weight
    torch.testing.assert_close(module(z), z @ weight.T @ weight)


def test_dropout_acts_in_training_only():
    module, z = operator(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.5), tokens()
    assert not torch.equal(module.train()(z), module(z))
    torch.testing.assert_close(module.eval()(z), expected_output(module, z))


def test_one_subspace_as_wide_as_the_token_is_orthonormal_in_float32():
    torch.manual_seed(0)
    basis = Subspaces(96, heads=1, head_dim=96, orthonormal=True).bases()[0]
    torch.testing.assert_close(basis.mT @ basis, torch.eye(96), rtol=0, atol=1e-5)


def test_orthonormal_subspaces_keep_their_spans_and_pass_gradients():
    layer = Subspaces(10, heads=3, head_dim=4, orthonormal=True).double()
    bases = layer.bases()
    identity = torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    torch.testing.assert_close(bases.mT @ bases, identity)
    raw = layer.weight.unflatten(0, (3, 4)).mT
    torch.testing.assert_close(bases @ (bases.mT @ raw), raw)  # same span
    z = torch.randn(2, 10, dtype=torch.float64)
    torch.testing.assert_close(
        layer(z).unflatten(-1, (3, 4)), torch.einsum("bd,kdp->bkp", z, bases)
    )
    layer(z).square().sum().backward()
    assert layer.weight.grad.abs().max() > 0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer.float().bases()
    torch.testing.assert_close(inside.mT @ inside, identity.float(), rtol=1e-5, atol=1e-5)
