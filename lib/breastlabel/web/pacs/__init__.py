"""A PACS by its DICOMweb address: its client, the folder that mirrors it, and what passes through to it.

`settings` says which PACS and how to reach it, `client` speaks to it, `mirror` keeps a studies folder in step
with it, `archive` stores what the reading room makes, `proxy` lets viewers in the browser see it.
"""
