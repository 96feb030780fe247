"""The speed claims of the project, measured beside the stock platform: `scripts/bench`."""
