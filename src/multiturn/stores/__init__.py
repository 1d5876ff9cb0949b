"""Where conversations rest; loaded only when a store is used."""
