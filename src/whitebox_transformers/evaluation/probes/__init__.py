"""How good are the features of an image model: probes that leave its weights alone.

``probe`` is the way in. Features of every split are read once, kept on disk, and judged by a
weighted k-NN and by linear classifiers, beside raw pixels, their principal components and the same
network untrained.
"""

from whitebox_transformers.evaluation.probes.probe import ProbeResult, probe
from whitebox_transformers.evaluation.probes.settings import ProbeSettings

__all__ = ["ProbeResult", "ProbeSettings", "probe"]
