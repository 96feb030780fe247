"""The pages that a browser shows: the worklist, the reading page, the learning page."""
