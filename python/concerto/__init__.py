"""Concerto: a small, typed language for LLM programs."""
