"""Training of tissue networks from graded images: settings, crops, losses, and the loop."""
