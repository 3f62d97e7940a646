"""The grammar: one SLY action per function, filed under the name of what it builds."""
