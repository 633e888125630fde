"""Training maths in numpy: plain functions from a node's labelled texts and a model to an update."""
