"""The OHIF viewer: which release, how it is unpacked, and how the server offers it."""
