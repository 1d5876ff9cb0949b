"""The messages that travel, as typed views of their JSON: what is said, asked and answered."""
