//! Concerto: the runtime of a small, typed language for LLM programs.
