"""Step 4: impacts ⇄ Anserini's JsonVectorCollection.

``format`` reads and writes documents; ``encoding`` makes a folder of them from a corpus: in ``parts``, whose ``journal``
says which are finished, on one or several ``devices``.
"""
