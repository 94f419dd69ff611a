"""Step 7: runs, the rankings of many queries.

=======================================  ==============================================================================
module                                   purpose
=======================================  ==============================================================================
``searching``                            makes a run of many queries
``scoring``                              scores given pairs of queries and documents
``run``, ``formats``, ``file_ranks``     reads and writes run files
``rankings``, ``interchange``            runs as Python objects, and as those of other packages
``validation``                           checks run files
``selection``, ``fusion``, ``reranker``  new runs from existing ones
=======================================  ==============================================================================
"""
