"""White-box transformers: the CRATE family as Hugging Face models.

The objective is in :mod:`whitebox_transformers.crate.rates`, its two descent steps are in
:mod:`whitebox_transformers.crate.mssa` and :mod:`whitebox_transformers.crate.ista`, and one layer
is one alternating step (:mod:`whitebox_transformers.crate.block`).

Importing the package registers the family with Hugging Face's Auto classes, so that
``AutoModelForImageClassification.from_pretrained(folder)`` finds a CRATE checkpoint. Registration
needs the model classes, hence torch: the import is eager, and the command line, which must answer
at once, is a package of its own.
"""

from importlib.metadata import version

from whitebox_transformers.crate import (
    CrateBackbone,
    CrateBertConfig,
    CrateBertForMaskedLM,
    CrateBertForMultipleChoice,
    CrateBertForQuestionAnswering,
    CrateBertForSequenceClassification,
    CrateBertForTokenClassification,
    CrateBertModel,
    CrateConfig,
    CrateDinoConfig,
    CrateDinoForPreTraining,
    CrateDinoModel,
    CrateForImageClassification,
    CrateGPTConfig,
    CrateGPTForCausalLM,
    CrateGPTForSequenceClassification,
    CrateGPTModel,
    CrateImageProcessor,
    CrateMAEConfig,
    CrateMAEForImageClassification,
    CrateMAEForPreTraining,
    CrateMAEModel,
    CrateModel,
    fold,
    quantize,
)
from whitebox_transformers.errors import UserError

__version__ = version("whitebox-transformers")

__all__ = [
    "CrateBackbone",
    "CrateBertConfig",
    "CrateBertForMaskedLM",
    "CrateBertForMultipleChoice",
    "CrateBertForQuestionAnswering",
    "CrateBertForSequenceClassification",
    "CrateBertForTokenClassification",
    "CrateBertModel",
    "CrateConfig",
    "CrateDinoConfig",
    "CrateDinoForPreTraining",
    "CrateDinoModel",
    "CrateForImageClassification",
    "CrateGPTConfig",
    "CrateGPTForCausalLM",
    "CrateGPTForSequenceClassification",
    "CrateGPTModel",
    "CrateImageProcessor",
    "CrateMAEConfig",
    "CrateMAEForImageClassification",
    "CrateMAEForPreTraining",
    "CrateMAEModel",
    "CrateModel",
    "UserError",
    "__version__",
    "fold",
    "quantize",
]
