"""Defaults that the command line and the Python calls share, where loading their own modules would be slow."""

DEFAULT_MAX_LENGTH = 256
"""Tokens of a document or query, as in the SPLADE papers."""

MAX_IMPACT = 2**31 - 1
"""What Lucene stores in a frequency: the largest impact, and the largest sum of a document's impacts."""
