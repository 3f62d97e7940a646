"""What the compiler says about a program: the values, their codes, and their printed forms."""
