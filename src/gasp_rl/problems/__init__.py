"""Real questions from files: one loader for each public format, and one format of our own."""
