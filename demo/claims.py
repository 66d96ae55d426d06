"""What the demo says must hold: a claim that does not ends it with an exit code other than zero."""


class ClaimError(Exception):
    """The database did not do what the demo is about to say it did."""


def claim(holds: bool, otherwise: str) -> None:
    """Raises ClaimError with ``otherwise`` unless ``holds``."""
    if not holds:
        raise ClaimError(otherwise)
