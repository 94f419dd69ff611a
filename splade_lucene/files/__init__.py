"""Reading and writing files of any content.

``files`` opens text files, writes them whole and hashes them; ``compression`` decompresses, ``pipes`` copies pipes to files.
``folders`` decides which files of a folder are one collection. ``outputs`` and ``locks`` keep writers apart; ``exchange``
replaces a folder atomically. ``json_text`` and ``typed_data`` read and check JSON; ``delimited`` reads TSV and CSV. ``remote``
and ``remote_locks`` reach folders by URL.
"""
