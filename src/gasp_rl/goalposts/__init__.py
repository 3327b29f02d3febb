"""Goalposts: hard questions that nothing solved, mined, kept in files and checked."""
