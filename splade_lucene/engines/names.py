"""Names that options have. Importing this module is fast."""

from __future__ import annotations

from typing import Literal

EngineName = Literal["opensearch", "elasticsearch", "vespa"]
"""The engines to which a collection can be exported; each is a module of its name."""

Keys = Literal["ids", "terms"]
"""What an engine knows a term by: its id as a decimal number, or the term itself."""
