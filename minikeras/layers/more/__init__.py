"""The layers that a first course doesn't need; each module stands for itself."""
