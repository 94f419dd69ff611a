"""Step 4: impacts ⇄ Anserini's JsonVectorCollection.

========================================  =============================================================================
module                                    purpose
========================================  =============================================================================
``format``                                reads and writes pseudo-documents
``problems``, ``validation``, ``syntax``  what makes one invalid, and the checks
``files``, ``fetching``                   the files of a collection; copies of those in an object store
``encoding``                              encodes a corpus into a folder, resumable
``parts``, ``devices``                    the parts of an encoding; encoding on several devices
``journal``, ``remote_journal``           the record of finished parts, in a folder or in an object store
========================================  =============================================================================
"""
