"""Step 7: runs, the rankings of many queries.

``searching`` makes runs; ``run`` reads and writes run files in several ``formats``, and objects of other packages
(``interchange``); ``validation`` checks them; ``selection``, ``fusion`` and ``reranker`` make new runs from existing ones.
"""
