"""Converts particle annotations of other tools to this project's structures and back."""

from semsize.exchange.bam_archive import BamArchiveError
from semsize.exchange.coco import read_coco
from semsize.exchange.conversion import annotated_masks, meaning_of, misfit, size_trouble
from semsize.exchange.imagej_rois import read_imagej, roi_zip
from semsize.exchange.label_images import label_image, picture_stems, read_label_images
from semsize.exchange.labelme import labelme_file, read_labelme
from semsize.exchange.source import Account, ExchangeError, SourceImage, Stated, files_below, short_name
from semsize.exchange.via import read_via, via_project
from semsize.exchange.which_picture import ImageFolder
from semsize.exchange.writing import FolderExistsError, new_folder
