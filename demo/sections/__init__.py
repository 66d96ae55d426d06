"""The sections of the demo, in order.

Each does one thing with the database, checks it, and says what happened and by which SQL. Every figure and text shown
comes from the database; what a section claims, it has checked before (see claims.py).
"""

from collections.abc import Callable

from demo.sections import arcs, cleanup, follow, history, install, live, recall, search, settings, specified_query, tags
from demo.stage import Stage

SECTIONS: tuple[Callable[[Stage], None], ...] = (
    install.show,
    history.show,
    tags.show,
    arcs.show,
    live.show,
    follow.show,
    search.show,
    recall.show,
    specified_query.show,
    settings.show,
    cleanup.show,
)

__all__ = ["SECTIONS"]
