"""Sections: one file each, with ``section(document) -> Section | None``; ``page.SECTIONS`` orders them."""
