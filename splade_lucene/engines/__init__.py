"""Other engines: export to them, load them, search them, and read what they hold."""
