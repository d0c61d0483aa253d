"""What trains a model: the graph of its layers, one step of gradient descent, and the loops around it."""
