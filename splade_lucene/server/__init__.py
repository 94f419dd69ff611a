"""A server for indexes: REST, a page, the paths of Anserini's and Pyserini's servers, and tools for MCP clients.

``splade-lucene serve`` starts it; :func:`splade_lucene.server.app.create_app` creates the application for another ASGI server.
It needs the extra ``serve``.
"""
