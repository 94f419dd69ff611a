"""A server for indexes: REST, a page, the paths of Anserini's and Pyserini's servers, and tools for MCP clients.

``splade-lucene serve`` starts it; :func:`splade_lucene.server.app.create_app` creates the application for another ASGI server.
It needs the extra ``serve``.

===========================================  ==========================================================================
module                                       purpose
===========================================  ==========================================================================
``app``, ``run``, ``context``                the application, the process, and what all routes share
``settings``, ``registry``, ``work``         limits, open indexes, threads
``gate``, ``fast_search``                    checks of every request; the fast path of searches
``api``, ``answers``, ``changes``            the routes under ``/api/v1``, their responses, and changes of an index
``exports``, ``runs``, ``statistics``        further responses: a search as a file, a run, an index in figures
``schemas``, ``json_answers``, ``problems``  JSON of requests, responses and errors
``dropin``, ``stored_json``                  the paths of other servers, and documents in Anserini's form
``mcp``                                      the tools for MCP clients
``page``, ``docs_page``                      the files of the page; the page ``/docs``
``metrics``, ``logs``                        metrics and logs
===========================================  ==========================================================================
"""
