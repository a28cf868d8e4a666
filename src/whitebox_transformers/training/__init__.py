"""Recipes and runs: strict settings, Hugging Face's Trainer, exact resumption."""
