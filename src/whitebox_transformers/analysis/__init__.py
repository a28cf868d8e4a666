"""Looking inside: what every layer does to its tokens, and what happens if it does not.

Nothing here draws; `whitebox_transformers.report` turns these numbers into figures.
"""

from .attention import attention_rows, class_attention
from .coherence import dictionary_coherence, subspace_coherence, token_coherence
from .intervene import Coefficient, Head, Step, intervene
from .layer_report import LayerCurve, LayerReport
from .layerwise import measure, untrained
from .measures import CHEAP, MEASURES, available_measures
from .neuron_effect import EffectProbe
from .neurons import NeuronStudy, neuron_statistics

__all__ = [
    "CHEAP",
    "MEASURES",
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
    "intervene",
    "measure",
    "neuron_statistics",
    "subspace_coherence",
    "token_coherence",
    "untrained",
]
