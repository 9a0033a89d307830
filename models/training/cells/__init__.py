"""Training of cell classifiers: settings, crops, colours, losses, and the loop."""
