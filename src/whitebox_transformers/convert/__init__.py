"""The authors' weights, made loadable: `convert` and its report."""

from whitebox_transformers.convert.conversion import convert
from whitebox_transformers.convert.report import ConversionReport, Decision

__all__ = ["ConversionReport", "Decision", "convert"]
