"""Options, as they are typed."""


def option(name: str) -> str:
    """A config's name as an option: ``--n-layer`` for ``n_layer``."""
    return f"--{name.replace('_', '-')}"
