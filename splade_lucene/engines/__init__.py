"""Other engines: exports, loading, searching, and imports from their formats.

Each engine has a module of its name, with an :class:`splade_lucene.engines.exporter.Exporter` in ``EXPORTER``;
:mod:`splade_lucene.engines.registry` lists them.
"""
