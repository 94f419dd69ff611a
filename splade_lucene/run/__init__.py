"""Step 7: rankings of many queries as files.

``run`` reads and writes them in the ``formats`` of the field, ``validation`` finds what is wrong with one; ``fusion`` and
``reranker`` make new runs of runs.
"""
