"""What programs for the old SDK import of google-api-core, for where that is not installed.

Its errors are ``multiturn.google_errors``; ``multiturn.dropin`` puts all of it in place.
"""
