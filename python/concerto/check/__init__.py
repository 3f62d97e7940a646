"""Tree to checked program: names, types, and the rules of connections, models and schemas. Never raises for a bad program."""
