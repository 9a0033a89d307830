"""Grading of colorectal slides and biopsies: class maps, glands, lesions, signet-ring cells."""
