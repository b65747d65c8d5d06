"""Agglomerates cut out of annotated images and put into others: library, backgrounds, placement, compositing."""

from tio2.agglomerates.agglomerate import Agglomerate, Seam
from tio2.agglomerates.backgrounds import Backgrounds
from tio2.agglomerates.library import AgglomerateLibrary, LibraryError
from tio2.agglomerates.simulation import Pasted, PasteSettings, paste_agglomerates
