"""Effort forecasts on Flower's SuperLink and SuperNodes: the product's client app, trainer, strategy and step."""
