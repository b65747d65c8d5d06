"""Parts that are fast on a CPU: RoIAlign as sums of rows, assignment without all overlaps, a small backbone.

On a GPU RoIAlign is MMCV's, and the assigner computes all overlaps of a few truths at a time.
"""
