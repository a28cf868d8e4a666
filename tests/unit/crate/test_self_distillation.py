"""Losses are the papers'; the centre and the teacher move as they say."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.contract.tiny_dino import KINDS, OBJECTIVES, tiny_dino, tiny_views
from tests.oracles import self_distillation as oracle

from whitebox_transformers.crate import CrateDinoConfig, CrateDinoForPreTraining
from whitebox_transformers.crate.self_distillation import (
    Centre,
    DistillationHead,
    dino_loss,
    simdino_loss,
)


def outputs(views: int, images: int, width: int, seed: int, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(views, images, width, generator=generator).to(dtype)
    return F.normalize(drawn, dim=-1).requires_grad_()


SHAPES = [(2, 2, 1, 3), (2, 7, 5, 11), (3, 4, 2, 1)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_dino_is_the_mean_over_pairs_of_different_views(shape, dtype):
    aims, views, images, width = shape
    student, teacher = outputs(views, images, width, 0, dtype), outputs(aims, images, width, 1)
    centre = 0.1 * torch.arange(width)
    loss = dino_loss(student, teacher.detach() - centre, 0.1, 0.05)
    same = student.detach().double().requires_grad_()
    expected = oracle.dino(list(same), list(teacher.detach()), centre, 0.1, 0.05)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    loss.backward()
    expected.backward()
    close = (
        {"rtol": 2e-2, "atol": 1e-2} if dtype == torch.bfloat16 else {"rtol": 1e-4, "atol": 1e-5}
    )
    torch.testing.assert_close(student.grad.double(), same.grad, **close)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 2, 2, 3), (2, 7, 5, 11), (3, 4, 9, 4)])
def test_simdino_is_the_distance_less_the_rate(shape, dtype):
    aims, views, images, width = shape
    raw, teacher = outputs(views, images, width, 0, dtype), outputs(aims, images, width, 1)
    same = raw.detach().double().requires_grad_()
    loss = simdino_loss(F.normalize(raw, dim=-1), teacher.detach(), 0.5, 0.3)
    unit = F.normalize(same, dim=-1)
    expected = oracle.simdino(list(unit), list(teacher.detach()), 0.5, 0.3)
    half = dtype == torch.bfloat16
    close = {"rtol": 5e-2, "atol": 2e-2} if half else {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(loss.double(), expected, **close)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(raw.grad.double(), same.grad, **close)


def test_a_rate_of_one_image_is_refused():
    one = outputs(2, 1, 4, 0)
    with pytest.raises(ValueError, match="batch of 1"):
        simdino_loss(one, one, 0.5, 0.1)


@pytest.mark.parametrize("cuts", [[12], [5, 7], [4, 4, 4]])
def test_the_centre_moves_once_a_step_however_it_is_cut(cuts):
    rows = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0))
    centre = Centre(5)
    centre.mean.fill_(1.0)
    for piece in rows.split(cuts, dim=1):
        centre.see(piece)
        torch.testing.assert_close(centre.mean, torch.ones(5))
    centre.move(0.9)
    expected = 0.9 * torch.ones(5) + 0.1 * rows.flatten(0, 1).mean(0)
    torch.testing.assert_close(centre.mean, expected)
    centre.move(0.9)
    torch.testing.assert_close(centre.mean, expected)


def test_prototypes_see_directions_alone():
    config = CrateDinoConfig(hidden_size=8, num_attention_heads=2, head_hidden_size=8,
                             head_bottleneck_size=4, num_prototypes=1024)  # fmt: skip
    head = DistillationHead(config)
    cosines = head(torch.randn(50, 8))
    assert cosines.shape == (50, 1024)
    assert cosines.abs().max() <= 1 + 1e-6
    with torch.no_grad():
        head.prototypes.weight.mul_(torch.rand(1024, 1) + 0.5)
    torch.manual_seed(0)
    feature = torch.randn(3, 8)
    y = F.normalize(head.mlp(feature), dim=-1)
    unit = head.prototypes.weight / head.prototypes.weight.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(head(feature), y @ unit.mT)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_compares_every_view_with_every_other(kind, objective):
    model = tiny_dino(kind, objective)
    whole, local = tiny_views()
    found = model(whole, local)
    students, teachers = [], []
    for group, views in (("global", whole), ("local", local)):
        for number in range(views.shape[1]):
            _, feature = model.features(model.student, views[:, number])
            students.append(model.student_head(feature))
            if group == "global":
                teachers.append(model.head(model.features(model.base_model, views[:, number])[1]))
    config = model.config
    if objective == "dino":
        temperatures = (config.student_temperature, config.teacher_temperature)
        expected = oracle.dino(students, teachers, model.centre.mean, *temperatures)
    else:
        expected = oracle.simdino(students, teachers, config.rate_precision, config.rate_weight)
    torch.testing.assert_close(found.loss.double(), expected, rtol=1e-4, atol=1e-5)
    assert found.student_logits.shape[:2] == (6, 3)
    found.loss.backward()
    for name, parameter in model.named_parameters():
        learns = name.startswith("student")
        assert parameter.requires_grad == learns, name
        assert (parameter.grad is not None) == learns, name


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_is_a_moving_average_of_the_student(kind, objective):
    model = tiny_dino(kind, objective, hidden_dropout_prob=0.5)
    before = copy.deepcopy(model.state_dict())
    views = tiny_views()
    first = model(*views).teacher_logits
    torch.testing.assert_close(model(*views).teacher_logits, first)  # no dropout in the teacher
    model.update_teacher(0.75)
    own = {model.base_model_prefix: "student", "head": "student_head"}
    for name, value in model.state_dict().items():
        part, _, rest = name.partition(".")
        if part in own:
            theirs, ours = before[name], before[f"{own[part]}.{rest}"]
            torch.testing.assert_close(value, 0.75 * theirs + 0.25 * ours)
        elif part != "centre":
            assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_teacher_is_the_student_and_a_seed_says_who(kind):
    torch.manual_seed(1)
    config, model, extra = KINDS[kind]
    config = config(hidden_size=12, num_hidden_layers=1, num_attention_heads=2, image_size=8,
                    patch_size=4, head_hidden_size=8, num_prototypes=16, **extra)  # fmt: skip
    made = model(config)
    for theirs, ours in made._pairs():
        assert torch.equal(theirs, ours)
    torch.manual_seed(1)
    again = model(config).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in made.state_dict().items())
    assert made.centre.mean.eq(0).all()
    # DINO's head, not the backbone's rule.
    assert made.head.mlp[0].weight.std() < 0.03
    assert made.head.mlp[0].bias.eq(0).all()


def test_a_vit_draws_places_as_it_is_told():
    config, model, extra = KINDS["vit"]
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 8,
             "patch_size": 1, "head_hidden_size": 8, "num_prototypes": 4} | extra  # fmt: skip
    for told, expected in ({}, 0.1), ({"position_init_std": 1.5}, 1.5):
        made = model(config(**sizes, initializer_range=0.1, **told))
        for embeddings in (made.base_model.embeddings, made.student.embeddings):
            table = embeddings.position_embeddings
            assert table.std().item() == pytest.approx(expected, rel=0.15)
            assert embeddings.cls_token.std().item() == pytest.approx(expected, rel=0.4)
        assert made.student.layers[0].mlp.fc1.weight.std().item() == pytest.approx(0.1, rel=0.15)
    with pytest.raises(ValueError, match=r"position_init_std=-1.0 must be finite and not negative"):
        config(**sizes, position_init_std=-1.0)


@pytest.mark.parametrize(
    ("whole", "local", "said"),
    [
        ((3, 1, 3, 8, 8), (3, 4, 3, 4, 4), "at least two global views"),
        ((3, 2, 3, 8, 8), (2, 4, 3, 4, 4), "of the same 3 images"),
        ((3, 2, 3, 8, 8), (3, 4, 3, 5, 5), "not a multiple of the patch"),
        ((3, 8, 8), None, "at least two global views"),
    ],
)
def test_views_that_do_not_fit(whole, local, said):
    model = tiny_dino()
    with pytest.raises(ValueError, match=said):
        model(torch.zeros(whole), None if local is None else torch.zeros(local))


@pytest.mark.parametrize("place", [0, 1])
def test_pixels_that_are_no_number_are_named(place):
    views = list(tiny_views())
    views[place][2, 1, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"pixel_values\[2\] has values that are not finite"):
        tiny_dino()(*views)


def test_one_image_and_no_local_views_are_enough_for_dino():
    model = tiny_dino()
    loss = model(tiny_views(images=1)[0]).loss
    assert loss.isfinite()
    model.update_teacher(0.9)
    assert model.centre.mean.isfinite().all()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_identical_images_give_a_finite_loss_and_gradient(objective):
    model = tiny_dino(objective=objective)
    whole, local = tiny_views(images=1)
    model(whole.expand(4, -1, -1, -1, -1), local.expand(4, -1, -1, -1, -1)).loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"num_prototypes": 0}, "num_prototypes=0"),
        ({"teacher_temperature": 0.0}, "teacher_temperature"),
        ({"centre_momentum": 1.5}, "centre_momentum"),
        ({"rate_weight": 0.3}, "changes nothing with objective='dino'"),
        ({"objective": "simdino", "num_prototypes": 5}, "changes nothing with objective='simdino'"),
        ({"hidden_size": 10}, "hidden_size=10"),
    ],
)
def test_configurations_that_cannot_be(wrong, said):
    with pytest.raises(ValueError, match=said):
        CrateDinoConfig(**{"num_attention_heads": 3, "hidden_size": 12} | wrong)


def test_the_published_sizes_are_presets():
    config = CrateDinoConfig.from_preset("crate-small", num_prototypes=1024)
    assert (config.hidden_size, config.num_prototypes) == (576, 1024)
    assert CrateDinoForPreTraining.config_class is CrateDinoConfig
