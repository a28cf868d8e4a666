"""The CRATE family. Importing it registers the classes with Hugging Face's Auto classes."""

from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.utils import is_vision_available

from .configuration_crate import CrateConfig
from .configuration_crate_bert import CrateBertConfig
from .configuration_crate_dino import CrateDinoConfig, ViTDinoConfig
from .configuration_crate_gpt import CrateGPTConfig
from .configuration_crate_mae import CrateMAEConfig
from .folding import fold
from .image_processing_crate import CrateImageProcessor
from .modeling_crate import (
    CrateBackbone,
    CrateForImageClassification,
    CrateModel,
    CratePreTrainedModel,
)
from .modeling_crate_bert import CrateBertForMaskedLM, CrateBertModel, CrateBertPreTrainedModel
from .modeling_crate_bert_tasks import (
    CrateBertForMultipleChoice,
    CrateBertForQuestionAnswering,
    CrateBertForSequenceClassification,
    CrateBertForTokenClassification,
)
from .modeling_crate_dino import (
    CrateDinoForImageClassification,
    CrateDinoForPreTraining,
    CrateDinoModel,
)
from .modeling_crate_gpt import CrateGPTForCausalLM, CrateGPTModel, CrateGPTPreTrainedModel
from .modeling_crate_gpt_tasks import CrateGPTForSequenceClassification
from .modeling_crate_mae import (
    CrateMAEForImageClassification,
    CrateMAEForPreTraining,
    CrateMAEModel,
    CrateMAEPreTrainedModel,
)
from .modeling_vit_dino import ViTDinoForImageClassification, ViTDinoForPreTraining, ViTDinoModel
from .outputs_text import CrateCausalLMOutput, CrateGPTModelOutput
from .presets import BERT_PRESETS, GPT_PRESETS, MAE_PRESETS, PRESETS
from .quantizing import quantize

_IMAGE_CONFIGS = (CrateConfig, CrateMAEConfig, CrateDinoConfig, ViTDinoConfig)
for _config in (*_IMAGE_CONFIGS, CrateGPTConfig, CrateBertConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    _config.register_for_auto_class()
for _auto, _config, _model in (
    (AutoModel, CrateConfig, CrateModel),
    (AutoModelForImageClassification, CrateConfig, CrateForImageClassification),
    (AutoBackbone, CrateConfig, CrateBackbone),
    (AutoModel, CrateMAEConfig, CrateMAEModel),
    (AutoModelForPreTraining, CrateMAEConfig, CrateMAEForPreTraining),
    (AutoModelForImageClassification, CrateMAEConfig, CrateMAEForImageClassification),
    (AutoModel, CrateDinoConfig, CrateDinoModel),
    (AutoModelForPreTraining, CrateDinoConfig, CrateDinoForPreTraining),
    (AutoModelForImageClassification, CrateDinoConfig, CrateDinoForImageClassification),
    (AutoModel, ViTDinoConfig, ViTDinoModel),
    (AutoModelForPreTraining, ViTDinoConfig, ViTDinoForPreTraining),
    (AutoModelForImageClassification, ViTDinoConfig, ViTDinoForImageClassification),
    (AutoModel, CrateGPTConfig, CrateGPTModel),
    (AutoModelForCausalLM, CrateGPTConfig, CrateGPTForCausalLM),
    (AutoModelForSequenceClassification, CrateGPTConfig, CrateGPTForSequenceClassification),
    (AutoModel, CrateBertConfig, CrateBertModel),
    (AutoModelForMaskedLM, CrateBertConfig, CrateBertForMaskedLM),
    (AutoModelForMultipleChoice, CrateBertConfig, CrateBertForMultipleChoice),
    (AutoModelForQuestionAnswering, CrateBertConfig, CrateBertForQuestionAnswering),
    (AutoModelForSequenceClassification, CrateBertConfig, CrateBertForSequenceClassification),
    (AutoModelForTokenClassification, CrateBertConfig, CrateBertForTokenClassification),
):
    _auto.register(_config, _model, exist_ok=True)
    # save_pretrained then ships this folder's files, so that a checkpoint also loads, with
    # trust_remote_code, where this package is not installed.
    _model.register_for_auto_class(_auto.__name__)
# Without Pillow, which the core does not need, transformers has no AutoImageProcessor to fill.
if is_vision_available():
    # One class serves both backends: its geometry is Pillow's, with or without torchvision.
    _processors = {"pil": CrateImageProcessor, "torchvision": CrateImageProcessor}
    for _config in _IMAGE_CONFIGS:
        AutoImageProcessor.register(_config, image_processor_classes=_processors, exist_ok=True)
CrateImageProcessor.register_for_auto_class()

__all__ = [
    "BERT_PRESETS",
    "GPT_PRESETS",
    "MAE_PRESETS",
    "PRESETS",
    "CrateBackbone",
    "CrateBertConfig",
    "CrateBertForMaskedLM",
    "CrateBertForMultipleChoice",
    "CrateBertForQuestionAnswering",
    "CrateBertForSequenceClassification",
    "CrateBertForTokenClassification",
    "CrateBertModel",
    "CrateBertPreTrainedModel",
    "CrateCausalLMOutput",
    "CrateConfig",
    "CrateDinoConfig",
    "CrateDinoForImageClassification",
    "CrateDinoForPreTraining",
    "CrateDinoModel",
    "CrateForImageClassification",
    "CrateGPTConfig",
    "CrateGPTForCausalLM",
    "CrateGPTForSequenceClassification",
    "CrateGPTModel",
    "CrateGPTModelOutput",
    "CrateGPTPreTrainedModel",
    "CrateImageProcessor",
    "CrateMAEConfig",
    "CrateMAEForImageClassification",
    "CrateMAEForPreTraining",
    "CrateMAEModel",
    "CrateMAEPreTrainedModel",
    "CrateModel",
    "CratePreTrainedModel",
    "ViTDinoConfig",
    "ViTDinoForImageClassification",
    "ViTDinoForPreTraining",
    "ViTDinoModel",
    "fold",
    "quantize",
]
