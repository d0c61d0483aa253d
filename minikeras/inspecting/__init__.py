"""What one asks of a model: its table of layers, what a sample becomes in it, and what that costs."""
