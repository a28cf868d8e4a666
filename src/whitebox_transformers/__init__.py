"""White-box transformers: the CRATE family as Hugging Face models."""
