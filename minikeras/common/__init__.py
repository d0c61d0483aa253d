"""What several rooms need, and Keras has no public name for: configs, names, checks of arguments, text on a screen."""
