"""Step 4: impacts ⇄ Anserini's JsonVectorCollection.

``format`` reads and writes pseudo-documents. ``encoding`` encodes a corpus into a folder of them: in ``parts``, with a
``journal`` of the finished ones, on one or several ``devices``.
"""
