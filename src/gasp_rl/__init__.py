"""Guided asymmetric self-play for coding language models (GASP, arXiv 2603.15957).

Importing this package loads neither torch nor transformers: the engines import them when they
are built.
"""

__version__ = "0.1.0"
