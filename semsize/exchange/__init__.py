"""Other people's particle annotations to and from this project's structures."""

from semsize.exchange.bam_tio2 import AnnotatedImage, Archive, BamArchiveError, list_archive, unpack
from semsize.exchange.coco import crowd_flag, read_coco
from semsize.exchange.imagej_rois import read_imagej, roi_zip
from semsize.exchange.label_images import label_image, picture_stems, read_label_images
from semsize.exchange.labelme import labelme_file, read_labelme
from semsize.exchange.new_folder import FolderExistsError, new_folder
from semsize.exchange.particles import AnnotatedMasks, annotated_masks, meaning_of, misfit, size_trouble
from semsize.exchange.source import Account, ExchangeError, SourceImage, SourceParticle, files_below, short_name
from semsize.exchange.stated_names import Stated
from semsize.exchange.via import read_via, via_project
from semsize.exchange.which_picture import ImageFolder, Match

__all__ = [
    "Account",
    "AnnotatedImage",
    "AnnotatedMasks",
    "Archive",
    "BamArchiveError",
    "ExchangeError",
    "FolderExistsError",
    "ImageFolder",
    "Match",
    "SourceImage",
    "SourceParticle",
    "Stated",
    "annotated_masks",
    "crowd_flag",
    "files_below",
    "label_image",
    "labelme_file",
    "list_archive",
    "meaning_of",
    "misfit",
    "new_folder",
    "picture_stems",
    "read_coco",
    "read_imagej",
    "read_label_images",
    "read_labelme",
    "read_via",
    "roi_zip",
    "short_name",
    "size_trouble",
    "unpack",
    "via_project",
]
