"""Looking inside: what every layer does to its tokens, and what happens if it does not.

Nothing here draws; `whitebox_transformers.report` turns these numbers into figures.
"""

from .attention import attention_rows, class_attention
from .coherence import dictionary_coherence, subspace_coherence, token_coherence
from .faithfulness import faithfulness
from .intervene import Coefficient, Head, Step, intervene
from .layer_report import LayerCurve, LayerReport
from .layerwise import measure, untrained
from .measures import CHEAP, MEASURES, STEP_MEASURES, available_measures
from .neuron_effect import EffectProbe
from .neurons import NeuronStudy, neuron_statistics
from .output_matrix import output_agreement
from .patches import patch_features

__all__ = [
    "CHEAP",
    "MEASURES",
    "STEP_MEASURES",
    "Coefficient",
    "EffectProbe",
    "Head",
    "LayerCurve",
    "LayerReport",
    "NeuronStudy",
    "Step",
    "attention_rows",
    "available_measures",
    "class_attention",
    "dictionary_coherence",
    "faithfulness",
    "intervene",
    "measure",
    "neuron_statistics",
    "output_agreement",
    "patch_features",
    "subspace_coherence",
    "token_coherence",
    "untrained",
]
