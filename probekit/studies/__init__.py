"""Studies: named sets of questions with their tables and pictures."""
