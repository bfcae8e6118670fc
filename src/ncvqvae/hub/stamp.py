"""The last line of a card says what was above it when it was written, so that edits are told from new figures.

Git and the Hub's editor may end lines otherwise and add a line at the end; neither is an edit.
"""

import hashlib
import re


LINE = "<!-- ncvqvae: {}, sha256 {} -->"
STAMP = re.compile(r"\n*<!-- ncvqvae: (written|edited), sha256 ([0-9a-f]{64}) -->\s*\Z")


def stamped(text: str, edited: bool = False) -> str:
    """A text with its digest in a comment at the end, in the place of an earlier one."""
    body = _body(text)
    return f"{body}\n\n{LINE.format('edited' if edited else 'written', _digest(body))}\n"


def is_ours(text: str) -> bool:
    """Whether nobody has edited a text since this package wrote or published it."""
    found = STAMP.search(text)
    return found is not None and found[2] == _digest(_body(text))


def is_written(text: str) -> bool:
    """Whether a text is, to the letter, what this package wrote from a checkpoint's figures."""
    found = STAMP.search(text)
    return found is not None and found[1] == "written" and is_ours(text)


def has_stamp(text: str) -> bool:
    """Whether a text is, or was, this package's."""
    return STAMP.search(text) is not None


def same(one: str, other: str) -> bool:
    """Whether two texts are equal but for their digests."""
    return _body(one) == _body(other)


def _body(text: str) -> str:
    return STAMP.sub("", text.replace("\r\n", "\n")).rstrip()


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()
