"""Text to tree. Knows no types, no files, no environment."""
