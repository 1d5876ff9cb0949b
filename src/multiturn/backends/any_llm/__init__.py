"""Providers of other protocols, through the any-llm package."""
