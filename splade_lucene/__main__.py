"""``python -m splade_lucene``."""

from splade_lucene.cli import main

main()
