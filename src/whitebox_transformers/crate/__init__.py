"""The CRATE family. Importing it registers the classes with Hugging Face's Auto classes."""

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
)
from transformers.utils import is_vision_available

from .configuration_crate import CrateConfig
from .configuration_crate_bert import CrateBertConfig
from .configuration_crate_gpt import CrateGPTConfig
from .folding import fold
from .image_processing_crate import CrateImageProcessor
from .modeling_crate import (
    CrateBackbone,
    CrateForImageClassification,
    CrateModel,
    CratePreTrainedModel,
)
from .modeling_crate_gpt import (
    CrateCausalLMOutput,
    CrateGPTForCausalLM,
    CrateGPTModel,
    CrateGPTModelOutput,
    CrateGPTPreTrainedModel,
)
from .presets import BERT_PRESETS, GPT_PRESETS, PRESETS

for _config in (CrateConfig, CrateGPTConfig, CrateBertConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    _config.register_for_auto_class()
AutoModel.register(CrateConfig, CrateModel, exist_ok=True)
AutoModelForImageClassification.register(CrateConfig, CrateForImageClassification, exist_ok=True)
AutoBackbone.register(CrateConfig, CrateBackbone, exist_ok=True)
AutoModel.register(CrateGPTConfig, CrateGPTModel, exist_ok=True)
AutoModelForCausalLM.register(CrateGPTConfig, CrateGPTForCausalLM, exist_ok=True)
# Without Pillow, which the core does not need, transformers has no AutoImageProcessor to fill.
if is_vision_available():
    # One class serves both backends: its geometry is Pillow's, with or without torchvision.
    AutoImageProcessor.register(
        CrateConfig,
        image_processor_classes={"pil": CrateImageProcessor, "torchvision": CrateImageProcessor},
        exist_ok=True,
    )

# save_pretrained then ships this folder's files, so that a checkpoint also loads, with
# trust_remote_code, where this package is not installed.
CrateModel.register_for_auto_class("AutoModel")
CrateForImageClassification.register_for_auto_class("AutoModelForImageClassification")
CrateBackbone.register_for_auto_class("AutoBackbone")
CrateGPTModel.register_for_auto_class("AutoModel")
CrateGPTForCausalLM.register_for_auto_class("AutoModelForCausalLM")
CrateImageProcessor.register_for_auto_class()

__all__ = [
    "BERT_PRESETS",
    "GPT_PRESETS",
    "PRESETS",
    "CrateBackbone",
    "CrateBertConfig",
    "CrateCausalLMOutput",
    "CrateConfig",
    "CrateForImageClassification",
    "CrateGPTConfig",
    "CrateGPTForCausalLM",
    "CrateGPTModel",
    "CrateGPTModelOutput",
    "CrateGPTPreTrainedModel",
    "CrateImageProcessor",
    "CrateModel",
    "CratePreTrainedModel",
    "fold",
]
