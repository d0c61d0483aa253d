"""The version of this package, which files and configs tell."""

__version__ = "0.1.0"
