"""Checked program to IR. Has no user errors, only bugs."""
