"""The command ``wbt``: a package of its own, so that ``wbt --help`` answers before torch loads.

One file per command. A command imports the library inside its function, hands over to it and
prints what comes back; nothing is computed here.
"""
