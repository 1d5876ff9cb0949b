"""A model in this process, as a backend over ``multiturn.engine``."""
