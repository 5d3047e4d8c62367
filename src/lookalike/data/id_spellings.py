"""Which ids could be the same person, written differently: by a spreadsheet, by another system, by hand.

For whoever must not be listed: rather one person too many is left out than one too few. Ids that are to be found, such as
seeds, are compared exactly.
"""

import polars as pl

from lookalike.data.ingest.cells import WHITESPACE

# what programs put around an id: '00123, ="00123", {uuid}, curly quotes, characters of no width
_AROUND = WHITESPACE + "'\"`={}()\u2018\u2019\u201c\u201d\u00ab\u00bb\u200b\u200c\u200d\u2060"
_URN = "urn:uuid:"
_UUID_LENGTH = 36  # with its dashes


def plain_form(name: str = "user_id") -> pl.Expr:
    """The column of ids without what differs between spellings: case, what stands around, leading zeros, a final `.0`
    or `,0`, and the dashes of a UUID."""
    bare = pl.col(name).str.strip_chars(_AROUND).str.to_lowercase().str.strip_prefix(_URN)
    bare = (
        pl.when(bare.str.len_bytes() == _UUID_LENGTH).then(bare.str.replace_all("-", "", literal=True)).otherwise(bare)
    )
    return bare.str.replace(r"[.,]0+$", "").str.strip_chars_start("0")
