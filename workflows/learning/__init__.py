"""Training detectors from labelled images and holding them against labelled images."""
