"""Ray Data as the streaming engine: epochs of windows."""
