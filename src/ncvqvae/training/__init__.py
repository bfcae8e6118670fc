"""From a training split and a recipe to a checkpoint."""
