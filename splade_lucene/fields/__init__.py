"""Fields: typed values of a document beside its text, such as its year, language and tags, and filters on them.

=====================  ===============================================================================================
module                 purpose
=====================  ===============================================================================================
``values``             the types, and which values fit them
``schema``             which fields there are, declared or to be inferred
``survey``             infers the types of fields from their values
``expression``         filters as Python objects
``grammar``            filters as text
``conditions``         filters with types checked and bounds resolved
=====================  ===============================================================================================
"""
