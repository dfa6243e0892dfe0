"""A photo library as an index, searched by text, picture and words: made, kept current, asked (extra `search`)."""

from altclip.search.filters import Where
from altclip.search.index import Index, Status, default_folder
from altclip.search.queries import Hit, Page, Part, Query
from altclip.search.rows import Known, Place, Row, make_id
from altclip.search.writer import Writer

__all__ = [
    "Hit",
    "Index",
    "Known",
    "Page",
    "Part",
    "Place",
    "Query",
    "Row",
    "Status",
    "Where",
    "Writer",
    "default_folder",
    "make_id",
]
