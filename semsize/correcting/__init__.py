"""A person's corrections of the outlines of an image: operations with their inverse, and the log that keeps them."""

from semsize.correcting.log import CorrectionLog, read_log
from semsize.correcting.operations import CorrectionError, Corrections, Operation, Outline

__all__ = ["CorrectionError", "CorrectionLog", "Corrections", "Operation", "Outline", "read_log"]
