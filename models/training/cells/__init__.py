"""Training of cell classifiers from labelled crops: settings, crops, losses, and the loop."""
