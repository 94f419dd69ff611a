"""Other engines: export to them, load them, search them, and read what they hold.

Each engine has a module of its name, with an :class:`splade_lucene.engines.exporter.Exporter` in ``EXPORTER``;
:mod:`splade_lucene.engines.registry` lists them.
"""
