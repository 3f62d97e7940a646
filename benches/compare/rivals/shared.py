"""What every rival is asked."""

MODEL = "gpt-4o"
KEY = "sk-bench"
QUESTION = "Hi"
WHO = "Who is this person? Answer with name, age and tags."
