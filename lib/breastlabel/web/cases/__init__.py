"""Cases: what a reader has in front of them, in the order in which reading helps most."""
