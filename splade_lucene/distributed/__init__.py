"""More than one machine: encoding, building, searching and serving on a Ray cluster.

====================================  =================================================================================
module                                purpose
====================================  =================================================================================
``cluster``, ``pool``, ``sharing``    the cluster, its worker processes, and the checks of what nodes share
``encoding``, ``building``            encodes a corpus; builds an index in shards
``shard``, ``reader``, ``searching``  a process with one shard; the shards as one index; searching them
``serving``                           serves an index with Ray Serve
``java``                              the memory of the JVMs on a node
``scale``                             estimates for large collections
====================================  =================================================================================
"""
