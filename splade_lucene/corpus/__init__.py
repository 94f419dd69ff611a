"""Step 1: reading documents.

``reading`` reads all supported corpus formats; ``python_docs`` extracts a corpus from the installed Python.
"""
