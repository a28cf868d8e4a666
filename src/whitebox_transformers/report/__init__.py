"""Reports on a run: figures, and one self-contained page."""
