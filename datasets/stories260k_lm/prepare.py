"""Reads stories260k_lm: the language model, its tokenizer and five stories."""

from __future__ import annotations

from pathlib import Path

from neurodecode.sources import zoo


def load(folder: Path) -> dict:
    """``model``: ``torch.nn.Module`` of token ids (n, t); ``tokenizer``: text to ids and back; ``stories``: texts."""
    text = (folder / "sample_stories.txt").read_text(encoding="utf-8")
    return {
        "model": zoo.story_model(folder),
        "tokenizer": zoo.story_tokenizer(folder),
        "stories": [story.strip() for story in text.split("<|endoftext|>") if story.strip()],
    }
