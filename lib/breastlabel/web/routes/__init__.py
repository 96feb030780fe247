"""The routes of the reading room, one file for each group."""
