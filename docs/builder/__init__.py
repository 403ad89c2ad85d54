"""The documentation's own tools: markdown, executed tutorials, a reference from docstrings, one page frame."""
