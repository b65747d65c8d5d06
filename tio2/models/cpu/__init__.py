"""What a CPU needs: RoIAlign as sums of rows, assignment without all overlaps, a small backbone computed folded.

On a GPU MMCV's and MMDetection's own operators are used; a reader with a GPU can skip this folder.
"""
