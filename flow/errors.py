"""The one error that users see."""


class GatefoldError(Exception):
    """Something the user can mend; the message is one sentence that names the remedy."""
