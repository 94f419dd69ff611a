"""Reproduction of published figures: a catalogue of collections and systems, and the code that runs them.

=================  ===================================================================================================
module             content
=================  ===================================================================================================
``catalogue/``     the entries as data: one file per collection, with its systems
``entries``        the fields of an entry
``reading``        reading the catalogue
``arguments``      the arguments of each step, for running it and for printing its command
``checks``         consistency checks of an entry
``downloads``      files from a mirror, an archive, a cache or the network, complete and verified
``fetching``       resumable HTTP downloads
``archives``       the files in archives
``unpacking``      archives to folders
``commands``       equivalent commands of this package, Anserini and Pyserini
``plans``          what a run would do and download, and the disk space it needs
``paths``          where files are stored
``steps``          which steps an earlier run finished
``running``        the steps themselves
``figures``        obtained and published figures
``groups``         tables of figures, whose entries are run together
=================  ===================================================================================================
"""

from splade_lucene.reproduction.entries import Entry
from splade_lucene.reproduction.figures import Figure
from splade_lucene.reproduction.groups import Group, GroupResult, reproduce_group
from splade_lucene.reproduction.reading import find_entry, read_catalogue, read_groups
from splade_lucene.reproduction.running import Reproduction, reproduce

__all__ = [
    "Entry", "Figure", "Group", "GroupResult", "Reproduction", "find_entry", "read_catalogue", "read_groups", "reproduce",
    "reproduce_group",
]  # fmt: skip
