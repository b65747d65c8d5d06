"""Other people's particle annotations to and from this project's structures."""

from tio2.exchange.bam_tio2_archive import AnnotatedImage, Archive, BamArchiveError, list_archive, unpack
from tio2.exchange.new_folder import FolderExistsError, new_folder

__all__ = ["AnnotatedImage", "Archive", "BamArchiveError", "FolderExistsError", "list_archive", "new_folder", "unpack"]
