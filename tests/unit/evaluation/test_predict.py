import pytest
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from whitebox_transformers.errors import UserError
from whitebox_transformers.evaluation.predict import predict


def test_a_folder_that_prepares_images_otherwise_is_refused_with_the_mend(tmp_path):
    sizes = {"image_size": 8, "patch_size": 4, "hidden_size": 8, "intermediate_size": 8}
    config = ViTConfig(**sizes, num_hidden_layers=1, num_attention_heads=1)
    ViTForImageClassification(config).save_pretrained(tmp_path)
    ViTImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="prepares images with ViTImageProcessor.*pipeline"):
        predict(tmp_path, [tmp_path / "image.png"])
