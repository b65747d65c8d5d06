"""A person's corrections of the outlines of an image: operations with their inverse."""

from semsize.correcting.operations import CorrectionError, Corrections, Operation, Outline

__all__ = ["CorrectionError", "Corrections", "Operation", "Outline"]
