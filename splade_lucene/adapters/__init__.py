"""Adapters: the index as a part of the pipelines of other packages."""
