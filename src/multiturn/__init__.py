"""The conversation with a language model, as one Python object."""
