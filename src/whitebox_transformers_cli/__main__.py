"""``python -m whitebox_transformers_cli`` is ``wbt``."""

from whitebox_transformers_cli.app import main

main()
