"""The command ``multiturn``: talk to a model in a terminal or in a pipe."""
