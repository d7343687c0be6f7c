"""The one error that users of the board program see."""


class BoardError(Exception):
    """Something the user can mend; the message is one sentence that names the remedy."""
