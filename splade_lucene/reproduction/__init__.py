"""Published figures, reproduced: a catalogue of collections and systems, and what runs them.

=================  ===================================================================================================
module             what it decides
=================  ===================================================================================================
``catalogue/``     the facts, as data: one file a collection, its systems below it
``entries``        what an entry may say
``reading``        how it is read
``checks``         whether an entry fits together
``downloads``      files from a mirror, an archive, a cache or the network, whole and checked
``fetching``       the network: broken downloads are gone on with
``unpacking``      archives to folders
``commands``       the same by hand: our commands, and Anserini's and Pyserini's
``plans``          what a run would do, fetch and take
``places``         where everything lies
``steps``          which steps an earlier run finished
``running``        the steps themselves
``figures``        what came out beside what was published
=================  ===================================================================================================
"""

from splade_lucene.reproduction.entries import Entry
from splade_lucene.reproduction.figures import Figure
from splade_lucene.reproduction.reading import find_entry, read_catalogue
from splade_lucene.reproduction.running import Reproduction, reproduce

__all__ = ["Entry", "Figure", "Reproduction", "find_entry", "read_catalogue", "reproduce"]
