"""ONNX: the exported graph equals the model, any batch, also where the runtime alone reads it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tests.contract.tiny import tiny_images, tiny_model

from whitebox_transformers.errors import UserError
from whitebox_transformers.export import export_onnx

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def run(file, images):
    session = runtime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"pixel_values": images.numpy()})[0]


def expected(model, images):
    with torch.no_grad():
        return model(images).logits.numpy()


def relative_error(found, wanted):
    return np.abs(found - wanted).max() / np.abs(wanted).max()


@pytest.mark.parametrize("variant", ["published", "alpha", "token-statistics"])
def test_the_graph_equals_the_model_for_any_batch_and_leaves_it_alone(variant, tmp_path):
    model = tiny_model(variant).double().train()
    export = export_onnx(model, tmp_path / "model.onnx")
    assert model.training
    assert model.dtype == torch.float64
    model.eval()
    assert export.error < 1e-4
    for batch in (1, 5):
        images = tiny_images(model.config, batch=batch, seed=batch)
        assert relative_error(run(export.path, images), expected(model, images)) < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    if variant == "published":
        rounded = export_onnx(model, export.path, int8=True)
        assert 1e-4 < rounded.error < 0.05
        assert "int8" in str(rounded)
        assert rounded.error == pytest.approx(
            relative_error(run(rounded.path, images), expected(model, images)), abs=0.05
        )
        assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_folder_in_half_precision_at_another_size(tmp_path):
    model = tiny_model("mean-pooling")
    model.bfloat16().save_pretrained(tmp_path / "run")
    (tmp_path / "run" / "preprocessor_config.json").write_text('{"do_resize": true}')
    out = tmp_path / "new" / "model.onnx"
    export = export_onnx(tmp_path / "run", out, image_size=(12, 8))
    assert export.image_size == (12, 8)
    images = torch.randn(2, 3, 12, 8)
    assert relative_error(run(out, images), expected(model.float(), images)) < 1e-4

    metadata = runtime.InferenceSession(out).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["id2label"])["0"] == "LABEL_0"
    assert json.loads(metadata["preprocessor"]) == {"do_resize": True}


def test_a_graph_that_disagrees_is_not_written(tmp_path, monkeypatch):
    out = tmp_path / "model.onnx"
    out.write_text("older")
    monkeypatch.setattr("whitebox_transformers.export.onnx.TOLERANCE", 0.0)
    with pytest.raises(UserError, match="off by"):
        export_onnx(tiny_model("one-layer-one-head"), out)
    assert out.read_text() == "older"
    assert list(tmp_path.iterdir()) == [out]


def test_the_unfolded_model_exports_too():
    class Logits(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, pixel_values):
            return self.model(pixel_values).logits

    model = tiny_model("one-layer-one-head")
    images = tiny_images(model.config)
    program = torch.onnx.export(Logits(model).eval(), (images,), dynamo=True, verbose=False)
    (logits,) = program(images)
    assert relative_error(logits.numpy(), expected(model, images)) < 1e-4


def test_wrong_places_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json"):
        export_onnx(tmp_path, tmp_path / "model.onnx")
    with pytest.raises(UserError, match="is a folder"):
        export_onnx(tiny_model(), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match="no image classifier"):
        export_onnx(tmp_path, tmp_path / "model.onnx")
