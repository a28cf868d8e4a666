"""Trained models for other runtimes."""

from whitebox_transformers.export.onnx import OnnxExport, export_onnx

__all__ = ["OnnxExport", "export_onnx"]
