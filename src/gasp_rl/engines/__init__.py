"""What samples and trains: the boundary (`protocol`) and its implementations."""
