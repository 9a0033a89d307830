"""Opens any slide or plain image and reads pixels at a physical resolution."""
