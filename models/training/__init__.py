"""Training of networks from labelled images: samples, crops with targets, losses and the loop."""
