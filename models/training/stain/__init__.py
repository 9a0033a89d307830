"""Training of the stain generator from fields of several sites: settings, losses, and the loop."""
