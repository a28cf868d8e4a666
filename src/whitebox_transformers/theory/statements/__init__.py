"""The statements, one idea a file; ``registry.py`` has them in order."""
